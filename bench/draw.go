package bench

import (
	"io"

	"github.com/bilevel-go/bilevel/internal/chart"
)

// Draw draws the table of f.
func (f Figure) Draw(w io.Writer, t *Table, d Drawing) error {
	return d.write(w, chart.Figure{Label: f.Title + ".", Caption: f.Caption, Panels: f.panels(t)})
}
