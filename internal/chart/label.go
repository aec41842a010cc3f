package chart

import (
	"cmp"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// tag is where the name of a curve is.
type tag struct {
	at     vg.Point // of the middle of its height, at the side that x says
	x      draw.XAlignment
	box    vg.Rectangle
	leader []vg.Point // from the end of the curve, if it is not close by
	end    vg.Point   // of what is seen of the curve
	exits  bool       // the curve goes on beyond the diagram
}

func (t tag) style(c color.Color, bold bool) text.Style {
	return style(c, textSize, bold, t.x, draw.YCenter)
}

// endOf is the end of the part of line that c shows, and whether the line goes on there.
func endOf(c draw.Canvas, line []vg.Point) (end vg.Point, exits bool) {
	last := line[len(line)-1]
	parts := c.ClipLinesXY(line)
	for i := len(parts) - 1; i >= 0; i-- {
		if n := len(parts[i]); n > 0 {
			end = parts[i][n-1]
			return end, math.Hypot(float64(end.X-last.X), float64(end.Y-last.Y)) > 0.01
		}
	}
	inside := vg.Point{X: min(max(last.X, c.Min.X), c.Max.X), Y: min(max(last.Y, c.Min.Y), c.Max.Y)}
	return inside, inside != last
}

// place finds a place for the name of each curve: beside its end, or the place where it leaves the diagram below, if no
// curve, no other name and no leader is there; or else in a column at the right, in the order of the ends, with a
// leader. Curves in colour choose first. No two names are closer than a line.
func (l curves) place(c draw.Canvas, lines [][]vg.Point) []tag {
	tags := make([]tag, len(lines))
	order := make([]int, len(lines))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(rankOf(l.look(l.Curves[a])), rankOf(l.look(l.Curves[b])))
	})
	var inside, column []int
	var taken []vg.Rectangle
	for _, i := range order {
		t := &tags[i]
		t.end, t.exits = endOf(c, lines[i])
		if l.beside(c, lines, i, t, taken) {
			inside, taken = append(inside, i), append(taken, t.box)
		} else {
			column = append(column, i)
		}
	}
	for {
		l.align(c, lines, tags, column)
		k := len(inside) - 1 // the last to choose is the first to go
		for k >= 0 && !slices.ContainsFunc(column, func(i int) bool { return crosses(tags[i].leader, tags[inside[k]].box) }) {
			k--
		}
		if k < 0 {
			return tags
		}
		column = append(column, inside[k])
		inside = slices.Delete(inside, k, k+1)
	}
}

// align puts the names of column into one, with their leaders.
func (l curves) align(c draw.Canvas, lines [][]vg.Point, tags []tag, column []int) {
	// Leaders begin at the ends; those of curves that leave below, one above the other, the rightmost one lowest.
	column = slices.Clone(column)
	slices.SortStableFunc(column, func(a, b int) int {
		return cmp.Or(cmp.Compare(tags[b].end.X, tags[a].end.X), a-b)
	})
	from := make([]vg.Point, len(lines))
	above := c.Min.Y
	for _, i := range column {
		from[i] = tags[i].end
		if tags[i].exits && from[i].Y < c.Min.Y+1 {
			above += 4
			from[i] = crossing(lines[i], above, from[i])
		}
	}
	// From the bottom up, by curves where ends coincide.
	slices.SortStableFunc(column, func(a, b int) int {
		return cmp.Or(cmp.Compare(math.Round(float64(from[a].Y)), math.Round(float64(from[b].Y))), b-a)
	})
	var wanted []float64
	for _, i := range column {
		wanted = append(wanted, float64(from[i].Y))
	}
	got := spreadOut(wanted, line, float64(c.Min.Y), float64(c.Max.Y)+8)
	for k, i := range column {
		t := &tags[i]
		t.at, t.x = vg.Point{X: c.Max.X + leaderWidth, Y: vg.Length(got[k])}, draw.XLeft
		t.box = l.boxOf(i, t.at, t.x)
		t.leader = []vg.Point{from[i], {X: max(from[i].X, c.Max.X+2), Y: from[i].Y}, {X: t.at.X - 3, Y: t.at.Y}}
	}
}

// crosses says whether a part of line lies in box.
func crosses(line []vg.Point, box vg.Rectangle) bool {
	inside := draw.Canvas{Rectangle: box}
	return slices.ContainsFunc(inside.ClipLinesXY(line), func(part []vg.Point) bool { return len(part) > 0 })
}

// boxOf is the room that the name of curve i takes.
func (l curves) boxOf(i int, at vg.Point, x draw.XAlignment) vg.Rectangle {
	width := roomFor(l.Curves[i].Name, l.look(l.Curves[i]).rank >= 0) - leaderWidth
	left := at.X + width*vg.Length(x)
	return vg.Rectangle{Min: vg.Point{X: left, Y: at.Y - line/2}, Max: vg.Point{X: left + width, Y: at.Y + line/2}}
}

// beside tries places close to where curve i ends in the diagram.
func (l curves) beside(c draw.Canvas, lines [][]vg.Point, i int, t *tag, taken []vg.Rectangle) bool {
	// A name is at most a gap from its curve, and nothing is between them.
	try := func(at vg.Point, x draw.XAlignment) bool {
		box := l.boxOf(i, at, x)
		if !within(box, c.Rectangle) {
			return false
		}
		for _, other := range taken {
			if overlap(box, other) {
				return false
			}
		}
		for j, line := range lines {
			around := gap + l.look(l.Curves[j]).width/2
			if j == i {
				around = 1
			}
			if crosses(line, vg.Rectangle{Min: vg.Point{X: box.Min.X - around, Y: box.Min.Y + 1},
				Max: vg.Point{X: box.Max.X + around, Y: box.Max.Y - 1}}) {
				return false
			}
		}
		t.at, t.x, t.box = at, x, box
		return true
	}
	switch {
	case !t.exits && t.end.X < c.Max.X-leaderWidth:
		for _, dy := range []vg.Length{0, line * 0.6, -line * 0.6, line, -line} {
			if try(vg.Point{X: t.end.X + gap + 1, Y: t.end.Y + dy}, draw.XLeft) {
				return true
			}
		}
	case t.exits && t.end.Y < c.Min.Y+1:
		for k := range 8 {
			y := c.Min.Y + (vg.Length(k)+0.7)*line
			low, high := crossing(lines[i], y-line/2, t.end), crossing(lines[i], y+line/2, t.end)
			if try(vg.Point{X: min(low.X, high.X) - gap, Y: y}, draw.XRight) ||
				try(vg.Point{X: max(low.X, high.X) + gap, Y: y}, draw.XLeft) {
				return true
			}
		}
	}
	return false
}

// crossing is the last point of line at height y, or what is given instead.
func crossing(line []vg.Point, y vg.Length, instead vg.Point) vg.Point {
	for k := len(line) - 1; k > 0; k-- {
		a, b := line[k-1], line[k]
		if (a.Y-y)*(b.Y-y) <= 0 && a.Y != b.Y {
			return vg.Point{X: a.X + (b.X-a.X)*(y-a.Y)/(b.Y-a.Y), Y: y}
		}
	}
	return instead
}

func within(in, out vg.Rectangle) bool {
	return in.Min.X >= out.Min.X && in.Max.X <= out.Max.X && in.Min.Y >= out.Min.Y && in.Max.Y <= out.Max.Y
}

func overlap(a, b vg.Rectangle) bool {
	return a.Min.X < b.Max.X && b.Min.X < a.Max.X && a.Min.Y < b.Max.Y && b.Min.Y < a.Max.Y
}

// spreadOut moves ascending places apart to distances of at least gap, as little as possible in the sum of squares, and
// into [lo, hi] if they fit there. Places less i times gap only have to ascend, which is what averaging neighbours
// that do not does best.
func spreadOut(wanted []float64, gap, lo, hi float64) []float64 {
	type block struct {
		mean float64
		n    int
	}
	var blocks []block
	for i, v := range wanted {
		b := block{v - float64(i)*gap, 1}
		for k := len(blocks); k > 0 && blocks[k-1].mean > b.mean; k-- {
			before := blocks[k-1]
			n := before.n + b.n
			b = block{(before.mean*float64(before.n) + b.mean*float64(b.n)) / float64(n), n}
			blocks = blocks[:k-1]
		}
		blocks = append(blocks, b)
	}
	top := max(lo, hi-float64(len(wanted)-1)*gap)
	var got []float64
	for _, b := range blocks {
		for range b.n {
			got = append(got, min(max(b.mean, lo), top)+float64(len(got))*gap)
		}
	}
	return got
}
