package bench

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/stochastic"
)

// choices are what can stand, by name, where a method has a part that is an interface.
var choices = map[reflect.Type]map[string]any{
	reflect.TypeFor[hypergrad.Estimator](): {"aid": hypergrad.AID{}, "itd": hypergrad.ITD{}, "sid": hypergrad.SID{}},
	reflect.TypeFor[hypergrad.Optimizer](): {"gd": hypergrad.GD{}, "momentum": hypergrad.Momentum{},
		"adam": hypergrad.Adam{}},
	reflect.TypeFor[inner.Solver](): {"gd": inner.GradientDescent{}, "heavy-ball": inner.HeavyBall{},
		"nesterov": inner.Nesterov{}, "adam": inner.Adam{}, "lbfgs": inner.LBFGS{}, "newton": inner.Newton{}},
	reflect.TypeFor[inner.Dynamics](): {"gd": inner.GradientDescent{}, "heavy-ball": inner.HeavyBall{},
		"nesterov": inner.Nesterov{}, "adam": inner.Adam{}},
	reflect.TypeFor[linsolve.Solver](): {"cg": linsolve.CG{}, "fixed-point": linsolve.FixedPoint{},
		"neumann": linsolve.Neumann{}, "gmres": linsolve.GMRES{}, "bicgstab": linsolve.BiCGSTAB{},
		"direct": linsolve.Direct{}},
}

var (
	rateType     = reflect.TypeFor[stochastic.Rate]()
	durationType = reflect.TypeFor[time.Duration]()
	stringerType = reflect.TypeFor[fmt.Stringer]()
)

// parameter is a field of a configuration that a bench file can set.
type parameter struct {
	name  string
	index []int
	typ   reflect.Type
}

// parameters lists what can be set of a struct, in the order of its fields: FirstTolerance is first-tolerance.
func parameters(t reflect.Type) []parameter {
	var list []parameter
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() && !f.Anonymous && decodable(f.Type) {
			// A number where a step size is asked for says enough: InnerStep is inner.
			name := hyphenate(f.Name)
			if short, ok := strings.CutSuffix(name, "-step"); ok {
				name = short
			}
			list = append(list, parameter{name, f.Index, f.Type})
		}
	}
	return list
}

func decodable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64, reflect.String:
		return true
	case reflect.Interface:
		return choices[t] != nil
	case reflect.Struct:
		return len(parameters(t)) > 0
	}
	return false
}

// hyphenate makes first-tolerance of FirstTolerance.
func hyphenate(name string) string {
	var b strings.Builder
	rs := []rune(name)
	for i, r := range rs {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// hasRatio says whether a method has an inner and an outer step size, which the parameter ratio ties: the outer one
// is the inner one divided by it.
func hasRatio(t reflect.Type) bool {
	for _, name := range []string{"InnerStep", "OuterStep"} {
		if f, ok := t.FieldByName(name); !ok || f.Type != rateType {
			return false
		}
	}
	return true
}

// configure returns a copy of prototype, a struct, with the entries of v.
func configure(prototype any, v value, what string) (any, error) {
	dst := reflect.New(reflect.TypeOf(prototype)).Elem()
	dst.Set(reflect.ValueOf(prototype))
	if err := decodeStruct(dst, v, what); err != nil {
		return nil, err
	}
	return dst.Interface(), nil
}

func decodeStruct(dst reflect.Value, v value, what string) error {
	list, err := v.entries("the setting of " + what)
	if err != nil {
		return err
	}
	params := parameters(dst.Type())
	var names []string
	for _, p := range params {
		names = append(names, p.name)
	}
	withRatio := hasRatio(dst.Type())
	if withRatio {
		names = append(names, "ratio")
	}
	var ratio *entry
	var like []entry // rates that are the inner one's size, without its decay
	for i, e := range list {
		if withRatio && e.key == "ratio" {
			ratio = &list[i]
		}
	}
next:
	for _, e := range list {
		if withRatio && e.key == "ratio" {
			continue
		}
		for _, p := range params {
			if p.name == e.key {
				field := dst.FieldByIndex(p.index)
				if p.typ == rateType && withRatio && e.key != "inner" && e.value.v == "inner" {
					like = append(like, e)
				} else if p.typ == rateType {
					err = decodeRate(field, e.value, e.key, ratio != nil && e.key == "outer")
				} else {
					err = decode(field, e.value, e.key)
				}
				if err != nil {
					return err
				}
				continue next
			}
		}
		return e.unknown(what, names)
	}
	for _, e := range like {
		from := dst.FieldByName("InnerStep").Interface().(stochastic.Rate)
		if from.Auto() {
			return e.errorf("%s needs an inner step size: set inner to a number", e.key)
		}
		for _, p := range params {
			if p.name == e.key {
				dst.FieldByIndex(p.index).Set(reflect.ValueOf(stochastic.Constant(from.Size)))
			}
		}
	}
	if ratio == nil {
		return nil
	}
	f, ok := ratio.value.v.(float64)
	if !ok || !(f > 0) || math.IsInf(f, 0) {
		return ratio.value.errorf("ratio is a number above zero, not %s", ratio.value.kind())
	}
	from, to := dst.FieldByName("InnerStep").Interface().(stochastic.Rate),
		dst.FieldByName("OuterStep").Interface().(stochastic.Rate)
	if from.Auto() {
		return ratio.errorf("ratio needs an inner step size: set inner to a number")
	}
	if to.Size != 0 {
		return ratio.errorf("ratio and a size of outer are both set; leave one out")
	}
	to.Size = from.Size / f
	if !hasKey(list, "outer") {
		to.Decay = from.Decay
	}
	dst.FieldByName("OuterStep").Set(reflect.ValueOf(to))
	return nil
}

func hasKey(list []entry, key string) bool {
	for _, e := range list {
		if e.key == key {
			return true
		}
	}
	return false
}

// decodeRate takes a number, auto, or {size, decay}; decodeStruct takes inner too. The size may be absent where ratio
// gives it.
func decodeRate(dst reflect.Value, v value, what string, sized bool) error {
	const form = "a number above zero, auto, or {size: 0.1, decay: 0.5}"
	var r stochastic.Rate
	switch x := v.v.(type) {
	case float64:
		r.Size = x
	case string:
		if x != "auto" {
			return v.errorf("%s is %s, not %s", what, form, v.kind())
		}
		dst.SetZero()
		return nil
	case []entry:
		for _, e := range x {
			f, ok := e.value.v.(float64)
			switch {
			case e.key != "size" && e.key != "decay":
				return e.unknown(what, []string{"size", "decay"})
			case !ok:
				return e.value.errorf("%s of %s is a number, not %s", e.key, what, e.value.kind())
			case e.key == "size":
				r.Size = f
			default:
				r.Decay = f
			}
		}
		if sized && r.Size == 0 && r.Decay >= 0 && !math.IsInf(r.Decay, 0) {
			dst.Set(reflect.ValueOf(r))
			return nil
		}
	default:
		return v.errorf("%s is %s, not %s", what, form, v.kind())
	}
	if !(r.Size > 0) || math.IsInf(r.Size, 0) || !(r.Decay >= 0) || math.IsInf(r.Decay, 0) {
		return v.errorf("%s has the size %v and the decay %v: it is %s", what, r.Size, r.Decay, form)
	}
	dst.Set(reflect.ValueOf(r))
	return nil
}

// decode sets dst to v.
func decode(dst reflect.Value, v value, what string) error {
	t := dst.Type()
	switch {
	case t == rateType:
		return decodeRate(dst, v, what, false)
	case t == durationType:
		d, err := v.duration(what)
		if err == nil {
			dst.SetInt(int64(d))
		}
		return err
	case t.Kind() == reflect.Int && t.Implements(stringerType):
		return decodeName(dst, v, what)
	}
	switch t.Kind() {
	case reflect.Bool:
		b, ok := v.v.(bool)
		if !ok {
			return v.errorf("%s is true or false, not %s", what, v.kind())
		}
		dst.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := v.whole(what, math.MinInt32)
		if err != nil {
			return err
		}
		dst.SetInt(n)
	case reflect.Uint64:
		n, err := v.whole(what, 0)
		if err != nil {
			return err
		}
		dst.SetUint(uint64(n))
	case reflect.Float64:
		f, ok := v.v.(float64)
		if !ok {
			return v.errorf("%s is a number, not %s", what, v.kind())
		}
		dst.SetFloat(f)
	case reflect.String:
		s, err := v.text(what)
		if err != nil {
			return err
		}
		dst.SetString(s)
	case reflect.Struct:
		return decodeStruct(dst, v, what)
	case reflect.Interface:
		return decodeChoice(dst, v, what)
	default:
		panic("bench: no parameter is of the type " + t.String())
	}
	return nil
}

// decodeName sets an enumeration by the text of one of its values.
func decodeName(dst reflect.Value, v value, what string) error {
	var names []string
	each := reflect.New(dst.Type()).Elem()
	for i := int64(0); ; i++ {
		each.SetInt(i)
		name := each.Interface().(fmt.Stringer).String()
		if strings.HasSuffix(name, fmt.Sprintf(" %d", i)) { // what such types say of numbers that they do not know
			break
		}
		if name == v.v {
			dst.SetInt(i)
			return nil
		}
		names = append(names, name)
	}
	word, _ := v.v.(string)
	return v.errorf("%s is one of %s, not %s%s", what, strings.Join(names, ", "), v.kind(), nearest.Hint(word, names))
}

// decodeChoice sets an interface to one of its choices: a name, or a map of the name to what it is set to.
func decodeChoice(dst reflect.Value, v value, what string) error {
	set := value{v.line, v.column, []entry{}}
	name, ok := v.v.(string)
	place := entry{name, v.line, v.column, set}
	if list, isMap := v.v.([]entry); isMap && len(list) == 1 {
		name, ok, place = list[0].key, true, list[0]
		if place.value.v != nil {
			set = place.value
		}
	}
	names := sortedKeys(choices[dst.Type()])
	if !ok {
		return v.errorf("%s is one of %s, alone or as in {%s: {…}}, not %s",
			what, strings.Join(names, ", "), names[0], v.kind())
	}
	prototype, ok := choices[dst.Type()][name]
	if !ok {
		return place.errorf("%s is one of %s, not %q%s", what, strings.Join(names, ", "), name, nearest.Hint(name, names))
	}
	made, err := configure(prototype, set, name)
	if err != nil {
		return err
	}
	dst.Set(reflect.ValueOf(made))
	return nil
}

// duration is a time such as 10s or 2m30s.
func (v value) duration(what string) (time.Duration, error) {
	s, ok := v.v.(string)
	if ok {
		if d, err := time.ParseDuration(s); err == nil && d > 0 {
			return d, nil
		}
	}
	return 0, v.errorf("%s is a time such as 500ms, 10s or 2m, not %s", what, v.kind())
}
