package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// An output says how a report is written.
type output struct {
	json   bool
	colour string
}

func (o *output) flags(fs *flag.FlagSet) {
	fs.BoolVar(&o.json, "json", false, "print the report as JSON")
	fs.StringVar(&o.colour, "color", "auto", "colours: auto, always or never")
}

func (o *output) check() error {
	switch o.colour {
	case "auto", "always", "never":
		return nil
	}
	return errors.New("-color is one of auto, always and never")
}

// colours follows no-color.org: a variable that is set and not empty turns them off.
func (o *output) colours(c command) bool {
	if o.colour != "auto" {
		return o.colour == "always"
	}
	return c.outTTY && c.getenv("NO_COLOR") == "" && c.getenv("TERM") != "dumb"
}

func writeJSON(w io.Writer, r *doctor.Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		OK bool `json:"ok"`
		*doctor.Report
	}{r.OK(), r})
}

// isTerminal takes every character device for one, /dev/null included, where colours do no harm.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
