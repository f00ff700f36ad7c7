package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Widths of the table, in characters. A line is at most 80 wide, as the narrowest terminals are.
const (
	statusWidth = len(Pass) + 2
	stepWidth   = len("authorization-servers") // the longest
	gotWidth    = 80 - statusWidth - stepWidth - 1
	noteWidth   = 80 - statusWidth
)

var colours = map[Status]string{Pass: "\x1b[32m", Warn: "\x1b[33m", Fail: "\x1b[31m", Skip: "\x1b[2m"}

const plain = "\x1b[0m"

// String is the table without colours.
func (r *Report) String() string {
	var b strings.Builder
	_ = r.WriteTable(&b, false) // a Builder takes everything
	return b.String()
}

// WriteTable writes a table for people: step, what came back, verdict, and below it who stumbles and what to do. Colours are for terminals
// only; a verdict is always written as a word as well. The error is that of w.
func (r *Report) WriteTable(w io.Writer, colour bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.URL)
	for _, f := range r.Findings {
		status := strings.ToUpper(string(f.Status))
		if colour {
			status = colours[f.Status] + status + plain
		}
		for i, line := range wrap(f.Got, gotWidth) {
			if i == 0 {
				fmt.Fprintf(&b, "%s  %-*s %s\n", status, stepWidth, f.Step, line)
			} else {
				fmt.Fprintf(&b, "%*s%s\n", statusWidth+stepWidth+1, "", line)
			}
		}
		if f.Status != Warn && f.Status != Fail {
			continue
		}
		for _, note := range []struct{ label, text string }{
			{"cause: ", f.Cause}, {"seen as: ", string(f.Symptom)}, {"stumbles: ", strings.Join(f.Clients, ", ")}, {"cure: ", f.Cure}, {"clause: ", f.Clause},
		} {
			if note.text == "" {
				continue
			}
			for i, line := range wrap(note.label+note.text, noteWidth-2) {
				if i > 0 {
					line = "  " + line
				}
				fmt.Fprintf(&b, "%*s%s\n", statusWidth, "", line)
			}
		}
	}
	fmt.Fprintf(&b, "\n%d pass, %d warn, %d fail, %d skipped; %d requests\n",
		r.Count(Pass), r.Count(Warn), r.Count(Fail), r.Count(Skip), r.Requests)
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks at spaces, and in the middle of a word that is longer than a line.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		for line != "" && len(line)+1+len(word) > width || line == "" && len(word) > width {
			if line == "" {
				lines, word = append(lines, word[:width]), word[width:]
				continue
			}
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
