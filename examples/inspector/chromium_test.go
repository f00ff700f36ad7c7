//go:build browser && unix

package inspector

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Limits that only a broken run meets.
const (
	callTimeout    = 5 * time.Second  // for one command; some get no answer when the page goes away meanwhile
	waitTimeout    = 20 * time.Second // until a page shows something
	journeyTimeout = 90 * time.Second // from the first page to the last
)

// chromium is a headless browser that is driven through a pair of pipes, with the DevTools protocol.
type chromium struct {
	in      *os.File
	process *process

	mu      sync.Mutex
	id      int
	answers map[int]chan json.RawMessage
	tabs    map[string]*tab
}

// A tab is the one page that a person looks at, in a browser context of its own: nobody is signed in there.
type tab struct {
	t        *testing.T
	browser  *chromium
	session  string
	end      time.Time
	pictures int

	mu   sync.Mutex
	seen []string // the text of each page since forget, when it had been parsed, so that none is missed that goes away by itself
}

// startChromium starts a browser with a profile of its own. It reaches this machine and nothing else.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	require.NotEmpty(t, path, "install chromium")
	profile, err := os.MkdirTemp("", "mcpauth-inspector-")
	require.NoError(t, err)
	t.Cleanup(func() { // after the browser has ended; a helper of it may still write for a moment
		if !eventually(stopTimeout, func() bool { return os.RemoveAll(profile) == nil }) {
			t.Errorf("%s cannot be removed", profile)
		}
	})
	toChild, in, err := os.Pipe()
	require.NoError(t, err)
	out, fromChild, err := os.Pipe()
	require.NoError(t, err)
	// A page that was left would stay in the back/forward cache with its event streams open. After three authorizations those of the Inspector are all
	// the connections that Chromium opens to one server, and its next page waits in vain.
	b := &chromium{in: in, answers: map[int]chan json.RawMessage{}, tabs: map[string]*tab{}}
	b.process = start(t, program{path: path, files: []*os.File{toChild, fromChild}, args: []string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-crash-reporter", "--disable-dev-shm-usage", "--log-level=3",
		"--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1", "--hide-scrollbars",
		"--disable-features=BackForwardCache", "--user-data-dir=" + profile, "--remote-debugging-pipe", "about:blank",
	}})
	_ = toChild.Close()
	_ = fromChild.Close()
	t.Cleanup(func() {
		_ = in.Close() // the browser ends when nobody drives it
		eventually(stopTimeout, b.process.ended)
		b.process.stop(t)
		_ = out.Close()
	})
	go b.read(out)
	return b
}

func (b *chromium) newTab(t *testing.T) *tab {
	t.Helper()
	private := field(t, b.call("", "Target.createBrowserContext", nil), "browserContextId")
	target := field(t, b.call("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": private}), "targetId")
	v := &tab{t: t, browser: b, end: time.Now().Add(journeyTimeout)}
	v.session = field(t, b.call("", "Target.attachToTarget", map[string]any{"targetId": target, "flatten": true}), "sessionId")
	b.mu.Lock()
	b.tabs[v.session] = v
	b.mu.Unlock()
	v.call("Page.enable", nil)
	v.call("Runtime.enable", nil)
	v.call("Runtime.addBinding", map[string]any{"name": "mcpauthSeen"})
	v.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{
		"source": `document.addEventListener('DOMContentLoaded', () => mcpauthSeen(document.body.innerText))`,
	})
	v.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 1280, "height": 1200, "deviceScaleFactor": 1, "mobile": false})
	return v
}

func field(t *testing.T, raw json.RawMessage, name string) string {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(raw, &m), "the browser said %q", raw)
	s, _ := m[name].(string)
	require.NotEmpty(t, s, "the browser said %s", raw)
	return s
}

func (b *chromium) read(out *os.File) {
	for lines := bufio.NewReader(out); ; {
		raw, err := lines.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID            int
			SessionID     string
			Method        string
			Result, Error json.RawMessage
			Params        struct{ Name, Payload string }
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
		if tab != nil && m.Method == "Runtime.bindingCalled" && m.Params.Name == "mcpauthSeen" {
			tab.mu.Lock()
			tab.seen = append(tab.seen, m.Params.Payload)
			tab.mu.Unlock()
		}
	}
}

// call sends a command and returns its result, or nothing when the browser does not answer.
func (b *chromium) call(session, method string, params map[string]any) json.RawMessage {
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
	case <-b.process.exited:
	case <-time.After(callTimeout):
	}
	return nil
}

func (v *tab) call(method string, params map[string]any) json.RawMessage {
	return v.browser.call(v.session, method, params)
}

func (v *tab) open(target string) { v.call("Page.navigate", map[string]any{"url": target}) }

// eval runs an expression in the page and returns its value.
func (v *tab) eval(expression string) any {
	var m struct{ Result struct{ Value any } }
	_ = json.Unmarshal(v.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}), &m) // a page that goes away has no value
	return m.Result.Value
}

// until waits for a condition, as long as the person's patience lasts. What is seen instead is in the failure.
func (v *tab) until(what string, condition func() bool) {
	v.t.Helper()
	if eventually(min(waitTimeout, time.Until(v.end)), condition) {
		return
	}
	v.picture("failure")
	require.FailNow(v.t, "not seen: "+what, "%v (%v) shows:\n%s", v.eval("location.origin + location.pathname"), v.eval("document.title"), v.text())
}

// wait asks until the expression is true, across pages.
func (v *tab) wait(what, expression string) {
	v.t.Helper()
	v.until(what, func() bool { return v.eval(expression) == true })
}

// text is what the person reads.
func (v *tab) text() string {
	s, _ := v.eval("document.body.innerText").(string)
	return s
}

// reads waits for a text anywhere on the page.
func (v *tab) reads(text string) {
	v.t.Helper()
	v.wait(text, fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// heading waits for a page of the authorization server.
func (v *tab) heading(want string) {
	v.t.Helper()
	v.wait("the page "+want, fmt.Sprintf("document.readyState === 'complete' && document.querySelector('h1')?.textContent.trim() === %q", want))
}

// forget makes passed look at later pages only.
func (v *tab) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = nil
}

// passed waits until a page with all these texts was shown, if only for a moment.
func (v *tab) passed(texts ...string) {
	v.t.Helper()
	v.until("a page with "+strings.Join(texts, ", "), func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return slices.ContainsFunc(v.seen, func(page string) bool {
			return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(page, text) })
		})
	})
}

// press clicks the first element that has this selector and, where there is one, this text.
func (v *tab) press(selector, text string) {
	v.t.Helper()
	v.click(strings.TrimSpace(selector+" "+text), fmt.Sprintf(`[...document.querySelectorAll(%q)].find(e => e.checkVisibility() && !e.disabled && (!%q || e.textContent.trim() === %[2]q))`, selector, text))
}

// write puts text into the field with this label.
func (v *tab) write(label, text string) {
	v.t.Helper()
	field := fmt.Sprintf(`[...document.querySelectorAll('input, textarea')].find(e => [...e.labels].some(l => l.textContent.trim() === %q))`, label)
	v.click("the field "+label, field)
	v.wait("the focus in the field "+label, "document.activeElement === "+field)
	v.call("Input.insertText", map[string]any{"text": text})
}

// click clicks an element with the mouse, once it is at rest and nothing covers it. Of a switch, what is seen is its label.
func (v *tab) click(what, element string) {
	v.t.Helper()
	find := fmt.Sprintf(`(() => { let e = %s; if (!e) return null;
		if (/^(checkbox|radio)$/.test(e.type) && e.labels.length) e = e.labels[0];
		e.scrollIntoView({block: 'center', behavior: 'instant'});
		const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
		return e.contains(document.elementFromPoint(x, y)) ? [x, y] : null; })()`, element)
	var at []any
	v.until(what, func() bool {
		before := at
		at, _ = v.eval(find).([]any)
		return len(at) == 2 && len(before) == 2 && at[0] == before[0] && at[1] == before[1]
	})
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		v.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1})
	}
}

// picture saves what is seen in the folder that MCPAUTH_SCREENSHOTS names, if it is set.
func (v *tab) picture(name string) {
	folder := os.Getenv("MCPAUTH_SCREENSHOTS")
	if folder == "" {
		return
	}
	v.pictures++
	var picture struct{ Data []byte }
	if err := json.Unmarshal(v.call("Page.captureScreenshot", nil), &picture); err != nil {
		v.t.Logf("no picture of %s: the page went away", name)
		return
	}
	if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("inspector-%s-%02d-%s.png", filepath.Base(v.t.Name()), v.pictures, name)), picture.Data, 0o644); err != nil {
		v.t.Error(err)
	}
}
