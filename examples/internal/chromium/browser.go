//go:build unix

package chromium

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/process"
)

// callTimeout is for one command. Some get no answer when the page goes away meanwhile.
const callTimeout = 10 * time.Second

// A Browser is a running Chromium with a profile of its own, which ends with the test.
type Browser struct {
	in      *os.File
	process *process.Process

	mu      sync.Mutex
	id      int
	answers map[int]chan json.RawMessage
	tabs    map[string]*Tab // by session
}

// Start starts a browser without a page; [Browser.NewTab] opens one.
func Start(t testing.TB) *Browser {
	t.Helper()
	toChild, in, err := os.Pipe()
	require.NoError(t, err)
	out, fromChild, err := os.Pipe()
	require.NoError(t, err)
	b := &Browser{in: in, answers: map[int]chan json.RawMessage{}, tabs: map[string]*Tab{}}
	b.process = start(t, nil, []*os.File{toChild, fromChild}, "--hide-scrollbars", "--remote-debugging-pipe", "about:blank")
	_ = toChild.Close()
	_ = fromChild.Close()
	t.Cleanup(func() {
		_ = in.Close() // the browser ends when nobody drives it
		process.Eventually(process.StopTimeout, b.process.Ended)
		b.process.Stop(t)
		_ = out.Close()
	})
	go b.read(out)
	return b
}

// Show starts a browser that opens a page, which nobody drives from here. The names lead to this machine as well, beside
// localhost.
func Show(t testing.TB, url string, names ...string) *process.Process {
	t.Helper()
	return start(t, names, nil, url)
}

// start starts a browser, with files for the pipes of the protocol.
func start(t testing.TB, names []string, files []*os.File, args ...string) *process.Process {
	t.Helper()
	profile, err := os.MkdirTemp("", "mcpauth-chromium-")
	require.NoError(t, err)
	t.Cleanup(func() { // after the browser has ended; a helper of it may still write for a moment
		if !process.Eventually(process.StopTimeout, func() bool { return os.RemoveAll(profile) == nil }) {
			t.Errorf("%s cannot be removed", profile)
		}
	})
	var rules strings.Builder
	for _, name := range names {
		rules.WriteString("MAP " + name + " 127.0.0.1, ")
	}
	rules.WriteString("MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1")
	// A page that was left would stay in the back/forward cache with its event streams open. After three authorizations those of
	// MCP Inspector are all the connections that Chromium opens to one server, and its next page waits in vain.
	return process.Start(t, process.Program{Path: find(t), Files: files, Args: append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-crash-reporter", "--disable-dev-shm-usage", "--log-level=3",
		"--no-proxy-server", "--host-resolver-rules=" + rules.String(), "--disable-features=BackForwardCache", "--user-data-dir=" + profile,
	}, args...)})
}

func find(t testing.TB) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require.Fail(t, "no browser", "install one of: %s", strings.Join(names, ", "))
	return ""
}

// read takes what the browser says, until it ends.
func (b *Browser) read(out *os.File) {
	for lines := bufio.NewReader(out); ; {
		raw, err := lines.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID                    int
			SessionID             string
			Method                string
			Result, Error, Params json.RawMessage
		}
		if json.Unmarshal(bytes.TrimSuffix(raw, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		if answer := b.answers[m.ID]; answer != nil {
			delete(b.answers, m.ID)
			if m.Error != nil {
				m.Result = m.Error
			}
			answer <- m.Result
		}
		tab := b.tabs[m.SessionID]
		b.mu.Unlock()
		if tab != nil && tab.hear != nil && m.Method != "" {
			tab.hear(m.Method, m.Params)
		}
	}
}

// call sends a command and returns its result, or nothing when the browser does not answer.
func (b *Browser) call(session, method string, params map[string]any) json.RawMessage {
	b.mu.Lock()
	b.id++
	answer := make(chan json.RawMessage, 1)
	b.answers[b.id] = answer
	m := map[string]any{"id": b.id, "method": method}
	if params != nil {
		m["params"] = params
	}
	if session != "" {
		m["sessionId"] = session
	}
	raw, _ := json.Marshal(m)
	_, err := b.in.Write(append(raw, 0))
	b.mu.Unlock()
	if err != nil {
		return nil
	}
	select {
	case r := <-answer:
		return r
	case <-b.process.Exited():
	case <-time.After(callTimeout):
	}
	return nil
}
