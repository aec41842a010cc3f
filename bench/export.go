package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// RecordRow is a record of a run with all that tells the run apart, a row of an export. Nil is unknown.
type RecordRow struct {
	Problem   string `parquet:"problem"`
	Method    string `parquet:"method"`
	Algorithm string `parquet:"algorithm"` // its name in the registry
	Params    string `parquet:"params"`    // JSON
	Options   string `parquet:"options"`   // of the problem, JSON
	Seed      int64  `parquet:"seed"`
	Status    string `parquet:"status"`
	Message   string `parquet:"message"`

	Step    int64   `parquet:"step"`
	Seconds float64 `parquet:"seconds"` // in steps
	// Samples visited: all, and by gradients, second-order products and values of either level.
	Samples   int64 `parquet:"samples"`
	GradCalls int64 `parquet:"grad_calls"` // by gradients of f and g
	GradF     int64 `parquet:"grad_f"`
	GradG     int64 `parquet:"grad_g"`
	HessG     int64 `parquet:"hess_g"`
	CrossG    int64 `parquet:"cross_g"`
	ValueF    int64 `parquet:"value_f"`
	ValueG    int64 `parquet:"value_g"`

	Value     *float64 `parquet:"value,optional"`         // h
	Subopt    *float64 `parquet:"suboptimality,optional"` // h − h*
	GradNorm2 *float64 `parquet:"gradnorm2,optional"`     // ‖x − P(x − ∇h)‖²
	TestError *float64 `parquet:"test_error,optional"`    //
	KKT       *float64 `parquet:"kkt,optional"`           // loss of BOME's theory
	Known     *float64 `parquet:"known_minimum,optional"` // of the problem
	RunTime   float64  `parquet:"run_seconds"`            // of the whole run
	RunSteps  int64    `parquet:"run_steps"`              // of the whole run
}

// Rows are all records. A run that has none, because it failed at the start, is one row of step −1.
func (r *Results) Rows() []RecordRow {
	var list []RecordRow
	for _, p := range r.Problems {
		for _, g := range p.Groups {
			for _, t := range g.Traces {
				row := RecordRow{Problem: t.Problem, Method: t.Method, Algorithm: t.Algorithm, Params: string(t.Params),
					Options: string(t.Options), Seed: int64(t.Seed), Status: t.Status, Message: t.Message,
					Step: -1, Known: t.Known.pointer(), RunTime: t.Seconds, RunSteps: t.Steps}
				if len(t.Points) == 0 {
					list = append(list, row)
				}
				for _, at := range t.Points {
					c := at.Counts
					row.Step, row.Seconds, row.Samples, row.GradCalls = at.Step, at.Seconds, c.Total(), c.GradF+c.GradG
					row.GradF, row.GradG, row.HessG, row.CrossG = c.GradF, c.GradG, c.HessG, c.CrossG
					row.ValueF, row.ValueG = c.ValueF, c.ValueG
					row.Value, row.Subopt = at.Value.pointer(), number(float64(at.Value)-p.Best).pointer()
					row.GradNorm2, row.TestError, row.KKT = at.GradNorm2.pointer(), at.TestError.pointer(), at.KKT.pointer()
					list = append(list, row)
				}
			}
		}
	}
	return list
}

// pointer is nil for what is not finite.
func (n number) pointer() *float64 {
	if !n.finite() {
		return nil
	}
	f := float64(n)
	return &f
}

// WriteParquet writes all records as one table, compressed with zstd.
func (r *Results) WriteParquet(w io.Writer) error {
	t := parquet.NewGenericWriter[RecordRow](w, parquet.Compression(&parquet.Zstd))
	if _, err := t.Write(r.Rows()); err != nil {
		return fmt.Errorf("bench: Parquet: %w", err)
	}
	return t.Close()
}

// WriteCSV writes all records: a header, and a line for each. A cell of what is not known is empty.
func (r *Results) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	schema := parquet.SchemaOf(RecordRow{})
	var header []string
	for _, f := range schema.Fields() {
		header = append(header, f.Name())
	}
	if err := c.Write(header); err != nil {
		return err
	}
	for _, row := range r.Rows() {
		var line []string
		for _, v := range schema.Deconstruct(nil, row) {
			line = append(line, cell(v))
		}
		if err := c.Write(line); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// cell is a value of a table as text.
func cell(v parquet.Value) string {
	switch {
	case v.IsNull():
		return ""
	case v.Kind() == parquet.Double && !math.IsNaN(v.Double()):
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	case v.Kind() == parquet.ByteArray:
		return string(v.ByteArray())
	}
	return v.String()
}
