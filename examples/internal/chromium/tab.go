//go:build unix

package chromium

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/process"
)

// waitTimeout is how long a page may take to show something; only a broken run meets it.
const waitTimeout = 30 * time.Second

// A Tab is the one page that a person looks at, in a browser context of its own: nobody is signed in there. What it waits for
// in vain ends the test.
type Tab struct {
	t       testing.TB
	browser *Browser
	session string
	hear    func(event string, params json.RawMessage)
}

// NewTab opens an empty tab. Hear is told of the events of the protocol, in order, of the domains Page and Runtime and of
// those that [Tab.Call] enables; it must not use the tab. It may be nil.
func (b *Browser) NewTab(t testing.TB, hear func(event string, params json.RawMessage)) *Tab {
	t.Helper()
	private := field(t, b.call("", "Target.createBrowserContext", nil), "browserContextId")
	target := field(t, b.call("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": private}), "targetId")
	v := &Tab{t: t, browser: b, hear: hear}
	v.session = field(t, b.call("", "Target.attachToTarget", map[string]any{"targetId": target, "flatten": true}), "sessionId")
	b.mu.Lock()
	b.tabs[v.session] = v
	b.mu.Unlock()
	v.Call("Page.enable", nil)
	v.Call("Runtime.enable", nil)
	return v
}

func field(t testing.TB, raw json.RawMessage, name string) string {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(raw, &m), "the browser said %q", raw)
	s, _ := m[name].(string)
	require.NotEmpty(t, s, "the browser said %s", raw)
	return s
}

// Call sends a command of the DevTools protocol and returns its result, its error, or nothing: some commands get no answer when
// the page goes away meanwhile.
func (v *Tab) Call(method string, params map[string]any) json.RawMessage {
	return v.browser.call(v.session, method, params)
}

// Open goes to a URL and waits for the page.
func (v *Tab) Open(url string) {
	v.t.Helper()
	v.Call("Page.navigate", map[string]any{"url": url})
	v.Wait("a page", `document.readyState === 'complete' && location.href !== 'about:blank'`)
}

// Eval runs an expression in the page and returns its value. The policy of the page does not bind it. A page that goes away has
// no value.
func (v *Tab) Eval(expression string) any {
	var m struct{ Result struct{ Value any } }
	_ = json.Unmarshal(v.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}), &m)
	return m.Result.Value
}

// Until waits for a condition. If it does not come true, the failure says what was seen instead of what.
func (v *Tab) Until(what string, condition func() bool) {
	v.t.Helper()
	if process.Eventually(waitTimeout, condition) {
		return
	}
	require.FailNow(v.t, "not seen: "+what, "%v (%v) shows:\n%s", v.Eval("location.origin + location.pathname"), v.Eval("document.title"), v.Text())
}

// Wait asks until the expression is true, across pages.
func (v *Tab) Wait(what, expression string) {
	v.t.Helper()
	v.Until(what, func() bool { return v.Eval(expression) == true })
}

// Heading waits for a page with this heading.
func (v *Tab) Heading(want string) {
	v.t.Helper()
	v.Wait("the page "+want, fmt.Sprintf("document.readyState === 'complete' && document.querySelector('h1')?.textContent.trim() === %q", want))
}

// Text is what the person reads.
func (v *Tab) Text() string {
	s, _ := v.Eval("document.body.innerText").(string)
	return s
}

// Click clicks the element that an expression finds with the mouse, once it is at rest and nothing covers it. Of a switch, what
// is seen is its label.
//
// Chromium drops what is pressed before a page was painted for the first time.
func (v *Tab) Click(what, element string) {
	v.t.Helper()
	find := fmt.Sprintf(`(() => { let e = %s; if (!e) return null;
		if (/^(checkbox|radio)$/.test(e.type) && e.labels.length) e = e.labels[0];
		e.scrollIntoView({block: 'center', behavior: 'instant'});
		const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
		return e.contains(document.elementFromPoint(x, y)) ? [x, y] : null; })()`, element)
	var at []any
	v.Until(what, func() bool {
		before := at
		at, _ = v.Eval(find).([]any)
		return len(at) == 2 && len(before) == 2 && at[0] == before[0] && at[1] == before[1]
	})
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		v.Call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1})
	}
}

// Picture is what is seen, as PNG; beyond the window, too, if whole. It is nil when the page went away.
func (v *Tab) Picture(whole bool) []byte {
	var picture struct{ Data []byte }
	_ = json.Unmarshal(v.Call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": whole}), &picture)
	return picture.Data
}
