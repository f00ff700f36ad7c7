//go:build browser && unix

package devas_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// chromium is a headless browser that is driven through a pair of pipes, with the DevTools protocol.
type chromium struct {
	t    *testing.T
	in   *os.File
	done chan struct{}

	mu       sync.Mutex
	id       int
	answers  map[int]chan json.RawMessage
	sessions map[string]*tab
}

// A tab is one tab in a browser context of its own: nobody is signed in there.
type tab struct {
	t       *testing.T
	b       *chromium
	session string

	mu    sync.Mutex
	wrong []string // violations of the content security policy, exceptions of scripts
}

const chromiumTimeout = 30 * time.Second

func startChromium(t *testing.T) *chromium {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	require.NotEmpty(t, path, "install chromium")
	profile, err := os.MkdirTemp("", "mcpauth-pages-")
	require.NoError(t, err)
	toChild, in, err := os.Pipe()
	require.NoError(t, err)
	out, fromChild, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-crash-reporter", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars",
		"--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{toChild, fromChild} // descriptors 3 and 4
	require.NoError(t, cmd.Start())
	_ = toChild.Close()
	_ = fromChild.Close()
	b := &chromium{t: t, in: in, done: make(chan struct{}), answers: map[int]chan json.RawMessage{}, sessions: map[string]*tab{}}
	go b.read(out)
	t.Cleanup(func() {
		b.call("", "Browser.close", nil)
		_ = in.Close()
		select {
		case <-b.done:
		case <-time.After(chromiumTimeout):
			_ = cmd.Process.Kill()
			<-b.done
		}
		_ = cmd.Wait()
		_ = out.Close()
		// Helper processes may still write for a moment.
		for deadline := time.Now().Add(10 * time.Second); os.RemoveAll(profile) != nil && time.Now().Before(deadline); {
		}
	})
	return b
}

func (b *chromium) read(out *os.File) {
	defer close(b.done)
	lines := bufio.NewReader(out)
	for {
		raw, err := lines.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID        int
			SessionID string
			Method    string
			Result    json.RawMessage
			Error     json.RawMessage
			Params    struct {
				Entry            struct{ Level, Source, Text string }
				ExceptionDetails json.RawMessage
			}
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
		tab := b.sessions[m.SessionID]
		b.mu.Unlock()
		if tab == nil {
			continue
		}
		tab.mu.Lock()
		switch {
		case m.Method == "Log.entryAdded" && m.Params.Entry.Source == "security":
			tab.wrong = append(tab.wrong, m.Params.Entry.Text)
		case m.Method == "Runtime.exceptionThrown":
			tab.wrong = append(tab.wrong, string(m.Params.ExceptionDetails))
		}
		tab.mu.Unlock()
	}
}

// call sends a command and returns its result, or nil when the browser has ended.
func (b *chromium) call(session, method string, params map[string]any) json.RawMessage {
	b.mu.Lock()
	b.id++
	id := b.id
	answer := make(chan json.RawMessage, 1)
	b.answers[id] = answer
	m := map[string]any{"id": id, "method": method}
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
	case <-b.done:
		return nil
	case <-time.After(chromiumTimeout):
		b.t.Errorf("no answer to %s", method)
		return nil
	}
}

func (b *chromium) newTab(t *testing.T) *tab {
	t.Helper()
	field := func(raw json.RawMessage, name string) string {
		var m map[string]any
		require.NoError(t, json.Unmarshal(raw, &m), string(raw))
		s, _ := m[name].(string)
		require.NotEmpty(t, s, string(raw))
		return s
	}
	private := field(b.call("", "Target.createBrowserContext", nil), "browserContextId")
	target := field(b.call("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": private}), "targetId")
	v := &tab{t: t, b: b, session: field(b.call("", "Target.attachToTarget", map[string]any{"targetId": target, "flatten": true}), "sessionId")}
	b.mu.Lock()
	b.sessions[v.session] = v
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		v.call(domain+".enable", nil)
	}
	return v
}

func (v *tab) call(method string, params map[string]any) json.RawMessage {
	return v.b.call(v.session, method, params)
}

func (v *tab) open(target string) {
	v.t.Helper()
	v.call("Page.navigate", map[string]any{"url": target})
	v.wait(`document.readyState === 'complete' && location.href !== 'about:blank'`)
}

// eval runs an expression in the page and returns its value. The policy of the page does not bind it.
func (v *tab) eval(expression string) any {
	raw := v.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true})
	var m struct {
		Result struct{ Value any }
	}
	_ = json.Unmarshal(raw, &m) // a page that goes away has no value
	return m.Result.Value
}

// wait asks until the expression is true, across navigations.
func (v *tab) wait(expression string) {
	v.t.Helper()
	require.Eventually(v.t, func() bool { return v.eval(expression) == true }, chromiumTimeout, 20*time.Millisecond, "%s\n%v", expression, v.eval("location.href+' '+document.title"))
}

// press clicks a button or link with a real mouse event and waits for the heading of the next page.
//
// Chromium drops what is pressed before a page was painted for the first time. So where nothing at all has come of it, it is
// pressed once more.
func (v *tab) press(selector, heading string) {
	v.t.Helper()
	v.eval("window.pressed = true") // gone with the page
	v.click(selector)
	reached := fmt.Sprintf(`window.pressed !== true || document.querySelector('h1')?.textContent.trim() === %q`, heading)
	for patience := time.Now().Add(5 * time.Second); v.eval(reached) != true; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(patience) {
			v.click(selector)
			break
		}
	}
	v.heading(heading)
}

func (v *tab) click(selector string) {
	v.t.Helper()
	var at, before []any
	// The page may still be moving, for example after a change of the window's size.
	require.Eventually(v.t, func() bool {
		before = at
		at, _ = v.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); if (!e) return null; e.scrollIntoView({block: 'center', behavior: 'instant'});
			const r = e.getBoundingClientRect(); const x = r.x + r.width / 2, y = r.y + r.height / 2;
			return e.contains(document.elementFromPoint(x, y)) ? [x, y] : null; })()`, selector)).([]any)
		return at != nil && before != nil && at[0] == before[0] && at[1] == before[1]
	}, chromiumTimeout, 40*time.Millisecond, "%s on %v", selector, v.eval("document.title"))
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		v.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1})
	}
}

// key presses a key where the focus is.
func (v *tab) key(text, code string, number int) {
	v.t.Helper()
	name := strings.TrimSpace(text)
	if name == "" && text != " " {
		name = code
	} else if text == " " {
		name = " "
	}
	down := map[string]any{"type": "keyDown", "key": name, "code": code, "windowsVirtualKeyCode": number}
	if text != "" {
		down["text"] = text
	}
	v.call("Input.dispatchKeyEvent", down)
	v.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": code, "windowsVirtualKeyCode": number})
}

// tabTo moves the focus with the Tab key until it is at the element, which then shows it.
func (v *tab) tabTo(selector string) {
	v.t.Helper()
	for range 40 {
		if v.eval(fmt.Sprintf("document.activeElement === document.querySelector(%q)", selector)) == true {
			require.NotEqual(v.t, "none", v.eval("getComputedStyle(document.activeElement).outlineStyle"), "the focus is invisible")
			return
		}
		v.key("", "Tab", 9)
	}
	require.Fail(v.t, "not reached by keyboard", selector)
}

func (v *tab) heading(want string) {
	v.t.Helper()
	v.wait(fmt.Sprintf(`document.readyState === 'complete' && document.querySelector('h1')?.textContent.trim() === %q`, want))
}

func (v *tab) text() string { s, _ := v.eval("document.body.innerText").(string); return s }

// signIn chooses a user on the sign-in page.
func (v *tab) signIn(user, heading string) {
	v.t.Helper()
	v.heading("Sign in")
	v.press(fmt.Sprintf("button[value=%s]", user), heading)
}

// shapes are the sizes and colour schemes in which pages are looked at.
var shapes = []struct {
	name          string
	width, height int
	dark          bool
}{{"desktop-light", 1280, 800, false}, {"desktop-dark", 1280, 800, true}, {"phone-light", 390, 844, false}, {"phone-dark", 390, 844, true},
	{"narrow", 320, 640, false}, {"tablet", 800, 1000, true}}

// look checks what every page must hold in every shape: nothing sticks out sideways, text has contrast, fields have names, the policy was kept. With the
// environment variable MCPAUTH_SCREENSHOTS set to a folder it also takes pictures there.
func (v *tab) look(name string) {
	t := v.t
	t.Helper()
	folder := os.Getenv("MCPAUTH_SCREENSHOTS")
	for _, s := range shapes {
		scheme := "light"
		if s.dark {
			scheme = "dark"
		}
		v.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
		v.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": s.width, "height": s.height, "deviceScaleFactor": 1, "mobile": s.width < 600})
		faults, _ := v.eval(inspection).([]any)
		if len(faults) > 0 {
			t.Errorf("%s, %s: %v", name, s.name, faults)
		}
		if folder == "" {
			continue
		}
		var picture struct{ Data string }
		require.NoError(t, json.Unmarshal(v.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}), &picture))
		raw, err := base64.StdEncoding.DecodeString(picture.Data)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+"-"+s.name+".png"), raw, 0o644))
	}
	v.call("Emulation.clearDeviceMetricsOverride", nil)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.wrong {
		if !strings.Contains(w, "favicon") {
			t.Errorf("%s: %s", name, w)
		}
	}
	v.wrong = nil
}

// inspection returns the faults of a page.
const inspection = `(() => {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push('wider than the window: ' + root.scrollWidth + ' > ' + root.clientWidth);
  if (root.lang !== 'en') faults.push('no language');
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
  if (document.querySelectorAll('main').length !== 1) faults.push('not one main');
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) faults.push('an id is there twice');
  for (const e of document.querySelectorAll('input:not([type=hidden]),textarea,select'))
    if (!e.labels.length && !e.getAttribute('aria-label')) faults.push('no label: ' + e.name);
  for (const e of document.querySelectorAll('button,a,svg'))
    if (e.tagName !== 'svg' && !e.textContent.trim() && !e.getAttribute('aria-label')) faults.push('no name: ' + e.outerHTML);
    else if (e.tagName === 'svg' && e.getAttribute('aria-hidden') !== 'true') faults.push('a picture without a name');
  const visible = e => e.checkVisibility() && e.getBoundingClientRect().width > 1;
  for (const e of document.querySelectorAll('button,.button,input:not([type=hidden])')) {
    const r = (/^(checkbox|radio)$/.test(e.type) ? e.labels[0] : e).getBoundingClientRect();
    if (visible(e) && r.height < 24) faults.push('too small to touch: ' + e.outerHTML.slice(0, 80) + ' ' + r.height);
  }
  const parse = c => {
    const m = c.match(/[\d.]+/g).map(Number);
    if (c.startsWith('color(srgb')) for (let i = 0; i < 3; i++) m[i] *= 255; // what color-mix computes to
    return m.length < 4 ? [...m, 1] : m;
  };
  const light = c => { const f = c.slice(0, 3).map(x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walker.nextNode(); n; n = walker.nextNode()) {
    const e = n.parentElement;
    if (!n.data.trim() || /^(SCRIPT|STYLE)$/.test(e.tagName) || !visible(e)) continue;
    let behind = [255, 255, 255, 0];
    for (let p = e; p; p = p.parentElement) { const c = parse(getComputedStyle(p).backgroundColor); if (c[3] === 1) { behind = c; break; } }
    const a = light(parse(getComputedStyle(e).color)), b = light(behind);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faults.push('contrast ' + ratio.toFixed(2) + ': ' + n.data.trim().slice(0, 40));
  }
  return faults;
})()`
