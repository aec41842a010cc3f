// Package report writes what a command found, and the result of a benchmark, as one HTML file that needs nothing else:
// style and figures are inside, and opening it touches no network. Pages have no scripts.
package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/palette"
)

// Page is a finding: sections that each open with a sentence that could stand alone, and after them details that are
// folded away. Texts may have [Bold] and [Code] parts; everything else in them is shown as it stands.
type Page struct {
	Above    string // a small line above the title: command, file, date
	Title    string // the finding
	Intro    []string
	Sections []Section
	Details  []Section
}

// Section has a title and what is under it, in this order. Parts that are empty are left out.
type Section struct {
	Title, Hint string
	Lead        string // larger than Text
	Text        []string
	Parts       []Part
	Repeats     bool // says again what a figure shows: details that are not printed
}

// Part is one of the things below.
type Part interface{ part() (name string) }

// Note is a small quiet line.
type Note string

// Paragraph is text between figures.
type Paragraph string

// Command is what to type.
type Command string

// Facts are names and values.
type Facts []Fact

// Fact is one line of Facts.
type Fact struct {
	Name, Value string
}

// Side are figures beside each other where there is room.
type Side []Part

// Cards are things to handle one by one.
type Cards []Card

// Card is a row whose label may be wrong, or a picture with a name.
type Card struct {
	Picture, Alt string // a PNG in base64, and what one sees
	From, To     string // a label, struck out, and another one; From may be empty
	Small        []string
}

// Table is a table; cells of a column with numbers stand right.
type Table struct {
	Title, Hint string
	Columns     []Column
	Rows        [][]string
	// Narrow is for few columns, which need not fill the page.
	Narrow bool
}

// Column is a column of a Table.
type Column struct {
	Name, Small string
	Number      bool
	Strong      bool // the result
	Minor       bool // left out on narrow screens
	Long        bool // a description, on a line of its own on narrow screens
}

// Matrix are counts of predictions: Counts[i][j] rows of class i were taken for class j.
type Matrix struct {
	Title, Hint string
	Given       string // the label
	Classes     []string
	Counts      [][]int
}

func (Note) part() string      { return "note" }
func (Paragraph) part() string { return "paragraph" }
func (Command) part() string   { return "command" }
func (Facts) part() string     { return "facts" }
func (Side) part() string      { return "side" }
func (Cards) part() string     { return "cards" }
func (*Table) part() string    { return "table" }
func (*Matrix) part() string   { return "matrix" }
func (*Dots) part() string     { return "dots" }
func (*Chart) part() string    { return "chart" }

// Marks around parts of texts. Names never have them: they are cleaned first.
const (
	boldOn, boldOff = "\x02", "\x03"
	codeOn, codeOff = "\x0e", "\x0f"
)

// Bold is s in bold type.
func Bold(s string) string { return boldOn + s + boldOff }

// Code is s as something to type.
func Code(s string) string { return codeOn + s + codeOff }

var (
	bare   = strings.NewReplacer(boldOn, "", boldOff, "", codeOn, "", codeOff, "")
	marked = strings.NewReplacer(boldOn, "<b>", boldOff, "</b>", codeOn, "<code>", codeOff, "</code>")
)

// Bare is a text for a terminal.
func Bare(s string) string { return bare.Replace(s) }

// Name is the name of a column, class or file as pages and terminals can show it: never empty, never endless.
func Name(s string) string { return name(s) }

// rich is a text in HTML.
func rich(s string) template.HTML {
	var clean strings.Builder
	for _, r := range s {
		if strings.ContainsRune(boldOn+boldOff+codeOn+codeOff, r) {
			clean.WriteRune(r)
			continue
		}
		clean.WriteString(numbers.Plain(string(r)))
	}
	return template.HTML(marked.Replace(template.HTMLEscapeString(clean.String())))
}

var (
	//go:embed page.html.tmpl
	page string
	//go:embed page.css
	pageStyle string
)

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"kind": Part.part,
	"rich": rich,
	"bare": func(s string) string { return numbers.Plain(Bare(s)) },
	"png":  func(s string) template.URL { return template.URL("data:image/png;base64," + s) },
}).Parse(page))

// Write renders p to w as one HTML document.
func Write(w io.Writer, p Page) error {
	v := struct {
		Page
		Style template.CSS
	}{p, template.CSS(palette.CSS() + pageStyle)}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
