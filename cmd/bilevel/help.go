package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// page is what there is to say about a command. The help, the man page and docs/commands.md are made of it.
type page struct {
	name     string // with those of the commands above
	above    string // the command above, "" if there is none
	short    string
	about    []string // paragraphs of the long text behind short, and blocks of lines that are indented
	usage    []string
	example  []string
	commands []*page // below
	flags    []flagPart
}

// pageOf describes c and what is below it.
func pageOf(c *cobra.Command) *page {
	p := &page{name: c.CommandPath(), short: c.Short, flags: flagParts(c)}
	if c.HasParent() {
		p.above = c.Parent().CommandPath()
	}
	text := strings.TrimPrefix(c.Long, c.Short+".")
	for block := range strings.SplitSeq(text, "\n\n") {
		if block = strings.Trim(block, "\n"); block != "" {
			p.about = append(p.about, block)
		}
	}
	if c.Runnable() && !c.HasSubCommands() || c.Args != nil && strings.Contains(c.Use, " ") {
		p.usage = append(p.usage, c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		p.usage = append(p.usage, c.CommandPath()+" COMMAND")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" {
				p.commands = append(p.commands, pageOf(sub))
			}
		}
	}
	if e := strings.TrimSpace(c.Example); e != "" {
		for line := range strings.SplitSeq(e, "\n") {
			p.example = append(p.example, strings.TrimSpace(line))
		}
	}
	return p
}

// all are p and the pages below it, each before those below.
func (p *page) all() []*page {
	list := []*page{p}
	for _, sub := range p.commands {
		list = append(list, sub.all()...)
	}
	return list
}

// The widths of help: that of the terminal within bounds, and the lower one where there is no terminal. Texts of flags
// begin at helpColumn.
const (
	minWidth, maxWidth = 80, 100
	helpColumn         = 28
)

// helpWidth is the width for what is written to w.
func helpWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return min(max(width, minWidth), maxWidth)
		}
	}
	return minWidth
}

// writeHelp writes the page for a terminal.
func (p *page) writeHelp(w io.Writer, width int) error {
	var b bytes.Buffer
	b.WriteString(p.short + "\n")
	for _, block := range p.about {
		b.WriteString("\n")
		writeBlock(&b, block, width)
	}
	section := func(title string, write func()) {
		fmt.Fprintf(&b, "\n%s:\n", title)
		write()
	}
	lines := func(list []string) func() {
		return func() {
			for _, l := range list {
				b.WriteString("  " + l + "\n")
			}
		}
	}
	section("Usage", lines(p.usage))
	if p.example != nil {
		section("Examples", lines(p.example))
	}
	if p.commands != nil {
		column := 0
		for _, sub := range p.commands {
			column = max(column, len(sub.name)-len(p.name)+3)
		}
		section("Commands", func() {
			for _, sub := range p.commands {
				writeItem(&b, strings.TrimPrefix(sub.name, p.name+" "), sub.short, column, width)
			}
		})
	}
	for _, part := range p.flags {
		section(part.title, func() {
			for _, f := range part.flags {
				writeItem(&b, strings.TrimSpace("--"+f.name+" "+f.kind), f.text, helpColumn, width)
			}
		})
	}
	if p.commands != nil {
		fmt.Fprintf(&b, "\nMore about one: %s COMMAND --help\n", p.name)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeItem writes a name and, from column on, a text about it.
func writeItem(b *bytes.Buffer, name, text string, column, width int) {
	line := "  " + name
	if n := utf8.RuneCountInString(line); n+2 > column {
		b.WriteString(line + "\n")
		line = strings.Repeat(" ", column)
	} else {
		line += strings.Repeat(" ", column-n)
	}
	fill(b, line, strings.Repeat(" ", column), text, width)
}

// writeBlock fills a paragraph; lines that are indented stay lines of their own.
func writeBlock(b *bytes.Buffer, block string, width int) {
	text := ""
	flush := func() {
		if text != "" {
			fill(b, "", "", text, width)
		}
		text = ""
	}
	for line := range strings.SplitSeq(block, "\n") {
		rest := strings.TrimLeft(line, " \t")
		if rest == line {
			text += line + "\n"
			continue
		}
		flush()
		first := strings.ReplaceAll(line[:len(line)-len(rest)], "\t", "  ")
		line = first + rest
		column := len(first) + 2
		if i := strings.Index(rest, "  "); i >= 0 { // a name, and behind it what it is
			rest = strings.TrimLeft(rest[i:], " ")
			first = line[:len(line)-len(rest)]
			column = utf8.RuneCountInString(first)
		}
		fill(b, first, strings.Repeat(" ", column), rest, width)
	}
	flush()
}

// fill writes the words of text in lines of the width, the first after first and others after indent.
func fill(b *bytes.Buffer, first, indent, text string, width int) {
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// writeMarkdown writes the pages of p as one file.
func (p *page) writeMarkdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# The command line\n\nWhat `--help` says of every command. `bilevel man FOLDER` writes the same as " +
		"man pages.\n")
	for _, sub := range p.all() {
		fmt.Fprintf(&b, "\n## %s\n\n```text\n", sub.name)
		if err := sub.writeHelp(&b, maxWidth); err != nil {
			return err
		}
		b.WriteString("```\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// fileName is that of the man page.
func (p *page) fileName() string { return strings.ReplaceAll(p.name, " ", "-") + ".1" }

// roff escapes text for man pages.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// writeMan writes the man page.
func (p *page) writeMan(w io.Writer, version string) error {
	var b bytes.Buffer
	line := func(format string, args ...any) {
		for i, a := range args {
			args[i] = roff(fmt.Sprint(a))
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line(`.TH "%s" 1 "" "%s" "User Commands"`, strings.ToUpper(strings.TrimSuffix(p.fileName(), ".1")), "bilevel "+version)
	b.WriteString(".nh\n.ad l\n")
	line(".SH NAME\n%s \\- %s", strings.TrimSuffix(p.fileName(), ".1"), p.short)
	b.WriteString(".SH SYNOPSIS\n")
	for i, u := range p.usage {
		if i > 0 {
			b.WriteString(".br\n")
		}
		line(".B %s", u)
	}
	b.WriteString(".SH DESCRIPTION\n")
	if p.about == nil {
		line("%s.", p.short)
	}
	for _, block := range p.about {
		b.WriteString(".PP\n")
		for text := range strings.SplitSeq(block, "\n") {
			if rest := strings.TrimLeft(text, " \t"); rest != text {
				fmt.Fprintf(&b, ".br\n.RS %d\n%s\n.RE\n", 2+len(text)-len(rest), roff(rest))
			} else {
				line("%s", text)
			}
		}
	}
	if p.commands != nil {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range p.commands {
			line(".TP\n.BR %s (1)\n%s", strings.TrimSuffix(sub.fileName(), ".1"), sub.short)
		}
	}
	if p.flags != nil {
		b.WriteString(".SH OPTIONS\n")
		for _, part := range p.flags {
			line(".SS %s", part.title)
			for _, f := range part.flags {
				line(".TP\n\\fB%s\\fR \\fI%s\\fR\n%s", "--"+f.name, f.kind, f.text)
			}
		}
	}
	if p.example != nil {
		b.WriteString(".SH EXAMPLES\n.nf\n")
		for _, e := range p.example {
			line("%s", e)
		}
		b.WriteString(".fi\n")
	}
	if p.above != "" {
		line(".SH SEE ALSO\n.BR %s (1)", strings.ReplaceAll(p.above, " ", "-"))
	}
	_, err := w.Write(b.Bytes())
	return err
}
