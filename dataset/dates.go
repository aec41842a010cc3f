package dataset

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Dates says what becomes of columns of dates and times.
type Dates string

// What can become of them. "" is DateFeatures.
const (
	DateFeatures Dates = "features" // year, month, weekday, hour and elapsed days, see DatePart
	DropDates    Dates = "drop"     // they are left out
)

// DateOrders are those of Options.DateOrder.
var DateOrders = []string{"dmy", "mdy", "ymd"}

// checkDates reports an option of dates that is none.
func (o *Options) checkDates(file string) error {
	switch {
	case o.Dates != "" && o.Dates != DateFeatures && o.Dates != DropDates:
		return fail(file, "choose features or drop", "nothing is called %q for dates", o.Dates)
	case o.DateOrder != "" && !slices.Contains(DateOrders, o.DateOrder):
		return fail(file, "choose "+list(DateOrders, "or"), "no order of day, month and year is called %q", o.DateOrder)
	}
	return nil
}

// DatePart is what a column holds that was made of one of dates.
type DatePart struct {
	Column string `json:"column"`          // of the file
	Part   string `json:"part"`            // year, month, weekday, hour, or days: elapsed ones, with their fractions
	Since  string `json:"since,omitempty"` // the earliest date of the training rows, from which days count (RFC 3339)

	Order string `json:"order,omitempty"` // of day, month and year, where the year is not in front with four digits
	Zone  bool   `json:"zone,omitempty"`  // times have a zone, and are taken in UTC
	Clock bool   `json:"clock,omitempty"` // there are times of a day and no dates
}

// Say writes a value of the part as people read it: elapsed days as the date, or the time of day, that they lead to.
func (d *DatePart) Say(v float64) string {
	since, err := time.Parse(time.RFC3339Nano, d.Since)
	switch {
	case d.Part != "days" || err != nil:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case d.Clock:
		return unix(seconds(since) + 86400*v).Format("15:04")
	}
	return unix(seconds(since) + 86400*v).Format(time.DateOnly)
}

// datePart is one of the parts that a date is divided into: a number, or a place among levels.
type datePart struct {
	name   string
	levels []string
	of     func(t time.Time) int // nil for elapsed days
}

// dateParts are all of them. Those that are the same in all training rows are no columns, days apart.
var dateParts = []datePart{
	{"year", nil, time.Time.Year},
	{"month", counting(1, 12), func(t time.Time) int { return int(t.Month()) - 1 }},
	{"weekday", []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"},
		func(t time.Time) int { return (int(t.Weekday()) + 6) % 7 }},
	{"hour", counting(0, 23), time.Time.Hour},
	{"days", nil, nil},
}

func counting(from, to int) (words []string) {
	for k := from; k <= to; k++ {
		words = append(words, strconv.Itoa(k))
	}
	return words
}

// unix is the time of seconds since 1970.
func unix(seconds float64) time.Time {
	whole := math.Floor(seconds)
	return time.Unix(int64(whole), int64(1e9*(seconds-whole))).UTC()
}

func seconds(t time.Time) float64 { return float64(t.Unix()) + 1e-9*float64(t.Nanosecond()) }

// dateForm is how dates are written.
type dateForm struct {
	order       string // one of DateOrders, "" where none is needed
	zone, clock bool   // as DatePart has them
}

// moment is a date or a time as it is written.
type moment struct {
	year, month, day   int
	front              bool // month and day are in front of the year, and may be each other
	short              bool // of the year two digits are written
	seconds            float64
	dated, timed, zone bool
	weak               bool // other things look so too
}

// Times are behind dates, or alone.
var (
	datesForm = []struct {
		form             *regexp.Regexp
		year, month, day int // groups
		front, weak      bool
	}{
		{regexp.MustCompile(`^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[Tt]|\s+|$)`), 1, 2, 3, false, false},
		{regexp.MustCompile(`^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:\s+|$)`), 3, 2, 1, true, false},
		{regexp.MustCompile(`^(\d{1,2})[-/.](\d{1,2})[-/.](\d{2})(?:\s+|$)`), 3, 2, 1, true, true},
		{regexp.MustCompile(`^(\d{1,2})[- ]([A-Za-z]{3,9})\.?,?[- ](\d{4})(?:\s+|$)`), 3, 2, 1, false, false},
		{regexp.MustCompile(`^([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})(?:\s+|$)`), 3, 1, 2, false, false},
		{regexp.MustCompile(`^(\d{4})[-/](\d{2})$`), 1, 2, 0, false, true},
		{regexp.MustCompile(`^([A-Za-z]{3,9})[- ](\d{4})$`), 2, 1, 0, false, true},
	}
	weekday  = regexp.MustCompile(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? `)
	timeForm = regexp.MustCompile(`^(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?\s?([AaPp][Mm])?\s?` +
		`(?:([Zz]|UTC|GMT)|([+-])(\d{2}):?(\d{2})?)?$`)
)

// parseMoment reads a date, a time, or both.
func parseMoment(s string) (m moment, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 4 || len(s) > 64 {
		return m, false
	}
	if s[0] > '9' {
		s = s[len(weekday.FindString(s)):]
	}
	for _, f := range datesForm {
		g := f.form.FindStringSubmatch(s)
		if g == nil {
			continue
		}
		m.dated, m.front, m.weak, m.day = true, f.front, f.weak, 1
		m.year, m.short = atoi(g[f.year]), len(g[f.year]) == 2
		if m.month, ok = monthOf(g[f.month]); !ok {
			return m, false
		}
		if f.day > 0 {
			m.day = atoi(g[f.day])
		}
		if s = s[len(g[0]):]; s == "" {
			return m, true
		}
		break
	}
	g := timeForm.FindStringSubmatch(s)
	if g == nil {
		return m, false
	}
	hour, minute := atoi(g[1]), atoi(g[2])
	second, _ := parseFloat("0" + strings.Replace(g[3], ",", ".", 1))
	if half := strings.ToLower(g[4]); half != "" {
		if hour < 1 || hour > 12 {
			return m, false
		}
		if hour %= 12; half == "pm" {
			hour += 12
		}
	}
	m.timed, m.zone = true, g[5] != "" || g[6] != ""
	m.weak = m.weak || !m.dated
	m.seconds = float64(3600*hour+60*minute) + second
	if offset := float64(3600*atoi(g[7]) + 60*atoi(g[8])); g[6] == "-" {
		m.seconds += offset
	} else {
		m.seconds -= offset
	}
	return m, hour < 24 && minute < 60 && second < 60
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// monthOf is a month by number or by its English name, or the start of it.
func monthOf(s string) (month int, ok bool) {
	if s[0] <= '9' {
		return atoi(s), true
	}
	for k := time.January; k <= time.December; k++ {
		if name := strings.ToLower(k.String()); strings.HasPrefix(name, strings.ToLower(s)) || strings.EqualFold(s, "sept") &&
			k == time.September {
			return int(k), true
		}
	}
	return 0, false
}

// at is m in seconds since 1970, with the order of day, month and year where it has to be known. ok says that there is
// such a day.
func (m moment) at(order string) (v float64, ok bool) {
	year, month, day := m.year, m.month, m.day
	if m.front {
		switch order {
		case "mdy":
			month, day = day, month
		case "ymd":
			year, day = day, year
		}
	}
	switch {
	case m.short && year < 69: // as POSIX has it
		year += 2000
	case m.short:
		year += 1900
	case m.front && order == "ymd":
		return 0, false
	}
	if !m.dated {
		return math.Mod(m.seconds+86400, 86400), true
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	v = float64(t.Unix()) + m.seconds
	return v, t.Year() == year && int(t.Month()) == month && t.Day() == day && isDate(v)
}

// isDate says that v, in seconds since 1970, is in the years 1 to 9999.
func isDate(v float64) bool { return -62135596800 <= v && v < 253402300800 }

// read reads a cell of a column whose dates are written so.
func (f dateForm) read(cell string) (v float64, ok bool) {
	m, ok := parseMoment(cell)
	if !ok || m.dated == f.clock || m.zone != f.zone || m.front && f.order == "" {
		return 0, false
	}
	return m.at(f.order)
}

// dates makes a column of dates of one whose cells, the levels so far, are dates. done says that they are. It is an
// error if only some are, or if they can be read in more than one way.
func (c *tableColumn) dates(names []string) (done bool, err error) {
	var ms []moment
	strong, other, example, unlike := "", "", "", ""
	for _, name := range names {
		if isMissing(name) {
			continue
		}
		m, ok := parseMoment(name)
		if ok && !m.front {
			_, ok = m.at("")
		}
		if !ok {
			other = name
			continue
		}
		if !m.weak && strong == "" {
			strong = name
		}
		if m.front && example == "" {
			example = name
		}
		if ms = append(ms, m); m.zone != ms[0].zone || m.dated != ms[0].dated {
			unlike = name
		}
	}
	if len(ms) == 0 || strong == "" && other != "" {
		return false, nil
	}
	refuse := func(hint, format string, args ...any) error {
		return c.place(&Error{Err: fmt.Errorf(format, args...), Hint: hint}, c.line1)
	}
	const alike = "write all cells of the column alike, or " + orLevels
	if other != "" {
		return false, refuse(alike, "%s is a date, and %s, in the same column, is none", quote(strong), quote(other))
	}
	if c.label {
		if strong == "" { // 2:1 may be a result
			return false, nil
		}
		return false, refuse("choose another label with --label, or give --categorical with the column's name if they are "+
			"classes", "the labels are dates, such as %s", quote(strong))
	}
	f := dateForm{order: c.dateOrder, zone: ms[0].zone, clock: !ms[0].dated}
	if unlike != "" {
		return false, refuse(alike, "%s has a date or a zone that other cells of the column have not, or has none",
			quote(unlike))
	}
	if c.dropDates { // whatever they mean
		c.kind, c.levels = Date, nil
		return true, nil
	}
	if example != "" {
		if f.order, err = c.orderOf(ms, example); err != nil {
			return false, err
		}
	} else {
		f.order = ""
	}
	c.date = f
	err = c.asNumbers(names, f.read)
	c.kind = Date
	return true, err
}

// orderOf is the one order of day, month and year in which all dates are days. Years of two digits leave it open.
func (c *tableColumn) orderOf(ms []moment, example string) (string, error) {
	var fit, say []string
	for _, order := range DateOrders {
		if c.dateOrder != "" && c.dateOrder != order {
			continue
		}
		all := !slices.ContainsFunc(ms, func(m moment) bool { _, ok := m.at(order); return !ok })
		if !all {
			continue
		}
		m, _ := parseMoment(example)
		v, _ := m.at(order)
		fit = append(fit, order)
		say = append(say, fmt.Sprintf("--date-order %s to read it as %s", order, unix(v).Format("2 January 2006")))
	}
	e := &Error{Err: fmt.Errorf("it is open what is day, month and year in %s", quote(example))}
	switch short := slices.ContainsFunc(ms, func(m moment) bool { return m.short }); {
	case len(fit) == 1 && (!short || c.dateOrder != ""):
		return fit[0], nil
	case len(fit) == 2 && !short && c.early && !slices.ContainsFunc(ms, func(m moment) bool { return !m.front || m.zone }):
		c.open = example // later cells will tell
		return fit[0], nil
	case len(fit) == 0:
		e.Err = fmt.Errorf("no order of day and month makes dates of all cells of the column, such as %s", quote(example))
		e.Hint = "write dates as 2021-04-03, or " + orLevels
	default:
		e.Hint = "give " + strings.Join(say, " or ") + "; or write dates as 2021-04-03, or " + orLevels
	}
	return "", c.place(e, c.line1)
}

// settle decides on the order of day and month, if it is open and this cell tells. It is false if the cell is none of
// which that is a question: with such cells among them the others could not be told apart any more.
func (c *tableColumn) settle(cell string) bool {
	if c.open == "" {
		return true
	}
	m, ok := parseMoment(cell)
	if !ok || !m.front || m.short || m.zone {
		return false
	}
	_, dmy := m.at("dmy")
	_, mdy := m.at("mdy")
	if dmy == mdy {
		return dmy
	}
	if c.open = ""; dmy {
		return true
	}
	c.date.order = "mdy"
	for _, b := range c.blocks {
		for i, v := range b {
			if !math.IsNaN(v) {
				t := unix(v)
				swapped := time.Date(t.Year(), time.Month(t.Day()), int(t.Month()), 0, 0, 0, 0, time.UTC)
				b[i] = float64(swapped.Unix()) + v - 86400*math.Floor(v/86400)
			}
		}
	}
	return true
}

// instant adds a cell of a file that stores dates, in seconds since 1970, as a clock time those of a day. The name is
// what it is called as a level. at is its row.
func (c *tableColumn) instant(v float64, clock bool, name string, at int) error {
	return c.tolerate(c.addInstant(v, clock, name, at))
}

func (c *tableColumn) addInstant(v float64, clock bool, name string, at int) error {
	switch {
	case c.drop:
		if c.keep {
			c.rowName(name)
		}
		return nil
	case c.kind == Categorical:
		return c.level(name, at)
	case c.kind == Text:
		c.document(name)
		return nil
	case !isDate(v):
		return c.place(&Error{Err: fmt.Errorf("the date %s is not in the years 1 to 9999", name),
			Hint: "mend it, or leave the column out with --drop"}, at)
	case c.label:
		return c.place(&Error{Err: fmt.Errorf("the labels are dates, such as %s", name),
			Hint: "choose another label with --label"}, at)
	case c.kind == "":
		c.kind, c.fixed, c.date.clock = Date, true, clock
	case c.kind != Date || c.date.clock != clock:
		return c.place(&Error{Err: fmt.Errorf("%s is a date or time, and the column is none in %s", name, c.like),
			Hint: "give the column as it is there"}, at)
	}
	c.add(v)
	return nil
}

// notDate is the error of a cell that is no date in a column of dates.
func (c *tableColumn) notDate(cell string, at int) error {
	as := "2021-04-03"
	switch {
	case c.date.clock:
		as = "a time such as 17:30"
	case c.date.order != "":
		as = map[string]string{"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}[c.date.order]
	}
	if c.date.zone {
		as += ", with a time and a zone"
	}
	return c.place(&Error{Err: fmt.Errorf("%s is not a date as the others of the column are", quote(cell)),
		Hint: "write it as " + as}, at)
}

// Sources are the columns of the file: those of the schema, but one of dates in place of its parts.
func (s *Schema) Sources() []Column {
	var out []Column
	for _, c := range s.Columns {
		if c.Date != nil {
			if slices.ContainsFunc(out, func(o Column) bool { return o.Name == c.Date.Column }) {
				continue
			}
			c = Column{Name: c.Date.Column, Kind: Date, Date: c.Date, Filling: c.Filling}
		}
		out = append(out, c)
	}
	return out
}

// parts are the columns that are made of one of dates.
func (s *Schema) parts(column string) []Column {
	var out []Column
	for _, c := range s.Columns {
		if c.Date != nil && c.Date.Column == column {
			out = append(out, c)
		}
	}
	return out
}

// divideDates puts its parts in the place of each column of dates, or leaves it out.
func (t *table) divideDates(o *Options) error {
	var of []int
	for _, j := range t.of {
		c := t.columns[j]
		if c.kind != Date {
			of = append(of, j)
			continue
		}
		var parts []Column
		if o.Like != nil {
			parts = o.Like.parts(c.name)
		} else {
			parts = c.partsOf()
			var names []string
			for _, p := range parts {
				names = append(names, p.Date.Part)
				if slices.ContainsFunc(t.columns, func(other *tableColumn) bool { return other.name == p.Name }) {
					return &Error{File: t.file, Column: p.Name, Err: fmt.Errorf("%s of the dates in %s have the same name",
						p.Date.Part, quote(c.name)), Hint: "rename a column, or give --dates drop"}
				}
			}
			last := len(names) - 1
			since := unix(c.least()).Format("2006-01-02")
			if names[last] += " since " + since; c.date.clock {
				names[last] = "time of the day"
			}
			what := names[0]
			if last > 0 {
				what = list(names, "and")
			}
			t.note("The column %s holds dates, which become %s; --dates drop leaves it out.", quote(c.name), what)
		}
		unseen := 0
		for _, p := range parts {
			of = append(of, len(t.columns))
			part, n := c.part(p)
			t.columns = append(t.columns, part)
			unseen += n
		}
		if unseen > 0 {
			t.note("%d times a month, weekday or hour in %s is none of %s's: it counts for nothing.", unseen, quote(c.name),
				o.likeName())
		}
		c.blocks = nil
	}
	t.of = of
	return nil
}

// leaveOutDates takes columns of dates out of the features, before anything is missing in them.
func (t *table) leaveOutDates() error {
	t.of = slices.DeleteFunc(t.of, func(j int) bool {
		c := t.columns[j]
		if c.kind != Date {
			return false
		}
		c.drop = true
		c.odd("dates are left out")
		t.note("The column %s holds dates, which are left out.", quote(c.name))
		return true
	})
	if len(t.of) == 0 {
		return fail(t.file, "give --dates features", "there is no feature column besides the label and dates")
	}
	return nil
}

// least is the earliest date of the column.
func (c *tableColumn) least() float64 {
	least := math.Inf(1)
	for _, b := range c.blocks {
		for _, v := range b {
			if v < least {
				least = v
			}
		}
	}
	return least
}

// partsOf are the columns that c becomes.
func (c *tableColumn) partsOf() []Column {
	least := c.least()
	var out []Column
	for _, part := range dateParts {
		d := &DatePart{Column: c.name, Part: part.name, Order: c.date.order, Zone: c.date.zone, Clock: c.date.clock}
		col := Column{Name: fmt.Sprintf("%s (%s)", c.name, part.name), Kind: Numeric, Date: d}
		if part.of == nil {
			d.Since = unix(least).Format(time.RFC3339Nano)
		} else {
			there := make(map[int]bool)
			for _, b := range c.blocks {
				for _, v := range b {
					if !math.IsNaN(v) {
						there[part.of(unix(v))] = true
					}
				}
			}
			if len(there) < 2 {
				continue
			}
			for k, l := range part.levels {
				if col.Kind = Categorical; there[k] {
					col.Levels = append(col.Levels, l)
				}
			}
		}
		out = append(out, col)
	}
	if c.filling == nil {
		return out
	}
	for k := range out {
		p, _ := c.part(out[k])
		f := &Filling{Indicator: c.filling.Indicator && k == len(out)-1} // one mark is enough
		if v := p.valueOf(c.filling.Value); out[k].Kind == Categorical {
			f.Level = out[k].Levels[int(v)]
		} else {
			f.Value = v
		}
		out[k].Filling = f
	}
	return out
}

// part is the column p of the dates in c. unseen is how many of its cells are of levels that p has not.
func (c *tableColumn) part(p Column) (part *tableColumn, unseenCells int) {
	i := slices.IndexFunc(dateParts, func(d datePart) bool { return d.name == p.Date.Part })
	form := dateParts[i]
	part = &tableColumn{name: p.Name, file: c.file, kind: p.Kind, fixed: true, filling: p.Filling, from: p.Date}
	if p.Kind == Categorical {
		part.levels = make(map[string]int)
		for k, l := range p.Levels {
			part.levels[l] = k
		}
	}
	since, _ := time.Parse(time.RFC3339Nano, p.Date.Since)
	part.valueOf = func(v float64) float64 {
		switch {
		case form.of == nil:
			return (v - seconds(since)) / 86400
		case p.Kind == Numeric:
			return float64(form.of(unix(v)))
		}
		if k, ok := part.levels[form.levels[form.of(unix(v))]]; ok {
			return float64(k)
		}
		return unseen
	}
	if f := p.Filling; f != nil {
		if part.fill = f.Value; p.Kind == Categorical {
			part.fill = float64(part.levels[f.Level])
		}
	}
	for _, b := range c.blocks {
		for _, v := range b {
			switch {
			case !math.IsNaN(v):
				if v = part.valueOf(v); p.Kind == Categorical && v == unseen {
					unseenCells++
				}
			case p.Kind == Categorical:
				v = missing
			}
			part.add(v)
		}
	}
	return part, unseenCells
}

// check reports what makes the part unusable that c is.
func (d *DatePart) check(c Column) error {
	i := slices.IndexFunc(dateParts, func(p datePart) bool { return p.name == d.Part })
	switch {
	case i < 0:
		return fmt.Errorf("dataset: column %q of a schema is the %q of a date", c.Name, d.Part)
	case (c.Kind == Categorical) != (dateParts[i].levels != nil):
		return fmt.Errorf("dataset: column %q of a schema, %s of a date, is of kind %q", c.Name, d.Part, c.Kind)
	case d.Order != "" && !slices.Contains(DateOrders, d.Order):
		return fmt.Errorf("dataset: dates of column %q of a schema have the order %q", c.Name, d.Order)
	}
	if _, err := time.Parse(time.RFC3339Nano, d.Since); dateParts[i].of == nil && err != nil {
		return fmt.Errorf("dataset: days of column %q of a schema count from %q", c.Name, d.Since)
	}
	return nil
}
