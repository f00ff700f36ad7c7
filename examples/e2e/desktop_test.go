//go:build e2e && unix

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A desktop is what a program finds on its user's machine: a home of its own, and a browser with the person in front of it, who takes each
// authorization back to the program's listener. What the program exchanges over HTTP is written down.
type desktop struct {
	env      []string
	home     string
	person   *person
	recorded string // what ts/record.mjs writes

	broken chan error // authorizations that led nowhere

	mu      sync.Mutex
	refused error // the last refusal of the command that runs
}

// fakeBrowser hands the address it is asked to open to the test. It opens the pipe for reading too, so as not to wait where the test has ended.
const fakeBrowser = "#!/bin/sh\nprintf '%%s\\n' \"$1\" 1<>'%s'\n"

func newDesktop(t *testing.T, p *person) *desktop {
	t.Helper()
	home := t.TempDir()
	d := &desktop{home: home, person: p, recorded: filepath.Join(home, "exchanges"), broken: make(chan error, 1)}
	asked := filepath.Join(home, "asked")
	require.NoError(t, syscall.Mkfifo(asked, 0o600))
	bin := filepath.Join(home, "bin")
	require.NoError(t, os.Mkdir(bin, 0o700))
	for _, name := range []string{"xdg-open", "open"} { // Linux; macOS
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), fmt.Appendf(nil, fakeBrowser, asked), 0o700))
	}
	record, err := filepath.Abs(filepath.Join("ts", "record.mjs"))
	require.NoError(t, err)
	d.env = []string{
		"HOME=" + home, "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "BROWSER=" + filepath.Join(bin, "xdg-open"),
		"NODE_OPTIONS=--import " + (&url.URL{Scheme: "file", Path: record}).String(), "MCPAUTH_E2E_EXCHANGES=" + d.recorded,
	}
	pipe, err := os.OpenFile(asked, os.O_RDWR, 0) // for writing too: it must not end between two addresses
	require.NoError(t, err)
	ended := make(chan struct{})
	ctx := t.Context() // ends before the cleanup
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			if err := d.browse(ctx, lines.Text()); err != nil {
				select {
				case d.broken <- err:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = pipe.Close()
		<-ended
	})
	return d
}

// browse is what the person does with an address: sign in, decide, and land at the program's own page.
func (d *desktop) browse(ctx context.Context, target string) error {
	back, err := d.person.visit(ctx, target)
	if err != nil {
		return err
	}
	if back.Error != "" {
		d.setRefused(&refusedError{back.Error})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, back.URL.String(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	// Some programs listen only when the browser is open. This person is faster than they expect.
	for ; errors.Is(err, syscall.ECONNREFUSED); res, err = http.DefaultClient.Do(req) {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if back.Error == "" && res.StatusCode != http.StatusOK {
		return fmt.Errorf("the program answered its user's return with %s", res.Status)
	}
	return nil
}

// do runs what may need the person. An authorization that leads nowhere ends it; a refusal is added to the error that the program reports.
func (d *desktop) do(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-d.broken:
			cancel(err)
		case <-ctx.Done():
		}
	}()
	d.setRefused(nil)
	if err := f(ctx); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		return errors.Join(err, context.Cause(ctx), d.refused)
	}
	return nil
}

func (d *desktop) setRefused(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = err
}

type recording struct {
	exchange
	Revision, Session, Secret string
}

// recordings returns what was exchanged over HTTP so far.
func (d *desktop) recordings() (all []recording) {
	data, _ := os.ReadFile(d.recorded) // absent before the first exchange
	for line := range strings.Lines(string(data)) {
		var r recording
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &r) == nil {
			all = append(all, r)
		}
	}
	return all
}

func (d *desktop) exchanges() (all []exchange) {
	for _, r := range d.recordings() {
		all = append(all, r.exchange)
	}
	return all
}

func (d *desktop) secrets() (all []string) {
	for _, r := range d.recordings() {
		if r.Secret != "" {
			all = append(all, r.Secret)
		}
	}
	return all
}

// spoken returns the revision and the session of the last answered request to the resource.
func (d *desktop) spoken() (revision, session string) {
	for _, r := range d.recordings() {
		if r.Path == pathMCP && r.Method == http.MethodPost && r.Status < 300 {
			revision, session = r.Revision, r.Session
		}
	}
	return revision, session
}
