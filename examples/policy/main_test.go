package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func output(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, log bytes.Buffer
	return run(t.Context(), args, &out, &log), out.String(), log.String()
}

func TestADayAtTheOffice(t *testing.T) {
	code, out, log := output(t)
	require.Zero(t, code, log)
	require.Equal(t, 6, strings.Count(out, "  sees "))
	require.Equal(t, 11, strings.Count(out, "403 Forbidden"), out)
	require.Contains(t, out, "the client is 203.0.113.9")
	require.Contains(t, out, "it is Mon 18:00 CEST")
	require.Contains(t, out, "it is Sat 10:00 CEST")
	require.NotContains(t, out, "blah", "no argument is logged")
}

func TestOneMoment(t *testing.T) {
	code, out, log := output(t, "-at", "2026-12-07T08:30", "-from", "2001:db8::1", "-zone", "America/New_York")
	require.Zero(t, code, log)
	require.Contains(t, out, "Mon 08:30 EST")
	require.Contains(t, out, "sees              read_notes whoami write_note\n")
	require.Contains(t, out, "the client is 2001:db8::1")
}

func TestWhatIsNotAsExpectedFails(t *testing.T) {
	day := officeDay()[:1]
	day[0].from = elsewhere
	var out bytes.Buffer
	require.ErrorContains(t, demonstrate(t.Context(), &out, berlin(t), day), "got the tools")
	day[0].tools = nil
	require.ErrorContains(t, demonstrate(t.Context(), &out, berlin(t), day), "purge all notes: got status 403")
}

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"-nonsense":                    {2, "nonsense"},
		"-zone Nowhere/City":           {2, "Nowhere/City"},
		"-at noon":                     {2, "noon"},
		"-at 2026-06-01T10:00 -from x": {2, "ParseAddr"},
		"extra":                        {2, "extra"},
		"-h":                           {0, "-from"},
	} {
		code, out, log := output(t, strings.Fields(args)...)
		require.Equal(t, want.code, code, args)
		require.Contains(t, log, want.text, args)
		require.Empty(t, out)
	}
}

func berlin(t *testing.T) *time.Location {
	loc, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	return loc
}
