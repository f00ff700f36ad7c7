//go:build browser && unix

package devas_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/chromium"
)

// A tab also knows what went wrong in its pages.
type tab struct {
	*chromium.Tab
	t *testing.T

	mu    sync.Mutex
	wrong []string // violations of the content security policy, exceptions of scripts
}

func newTab(t *testing.T, b *chromium.Browser) *tab {
	t.Helper()
	v := &tab{t: t}
	v.Tab = b.NewTab(t, func(event string, raw json.RawMessage) {
		var params struct {
			Entry            struct{ Source, Text string }
			ExceptionDetails json.RawMessage
		}
		if json.Unmarshal(raw, &params) != nil {
			return
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		switch {
		case event == "Log.entryAdded" && params.Entry.Source == "security":
			v.wrong = append(v.wrong, params.Entry.Text)
		case event == "Runtime.exceptionThrown":
			v.wrong = append(v.wrong, string(params.ExceptionDetails))
		}
	})
	v.Call("Log.enable", nil)
	return v
}

// press clicks a button or link with a real mouse event and waits for the heading of the next page.
//
// Chromium drops what is pressed before a page was painted for the first time. So where nothing at all has come of it, it is
// pressed once more.
func (v *tab) press(selector, heading string) {
	v.t.Helper()
	v.Eval("window.pressed = true") // gone with the page
	v.click(selector)
	reached := fmt.Sprintf(`window.pressed !== true || document.querySelector('h1')?.textContent.trim() === %q`, heading)
	for patience := time.Now().Add(5 * time.Second); v.Eval(reached) != true; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(patience) {
			v.click(selector)
			break
		}
	}
	v.Heading(heading)
}

func (v *tab) click(selector string) {
	v.t.Helper()
	v.Click(selector, fmt.Sprintf("document.querySelector(%q)", selector))
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
	v.Call("Input.dispatchKeyEvent", down)
	v.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": code, "windowsVirtualKeyCode": number})
}

// tabTo moves the focus with the Tab key until it is at the element, which then shows it.
func (v *tab) tabTo(selector string) {
	v.t.Helper()
	for range 40 {
		if v.Eval(fmt.Sprintf("document.activeElement === document.querySelector(%q)", selector)) == true {
			require.NotEqual(v.t, "none", v.Eval("getComputedStyle(document.activeElement).outlineStyle"), "the focus is invisible")
			return
		}
		v.key("", "Tab", 9)
	}
	require.Fail(v.t, "not reached by keyboard", selector)
}

// signIn chooses a user on the sign-in page.
func (v *tab) signIn(user, heading string) {
	v.t.Helper()
	v.Heading("Sign in")
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
		v.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
		v.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": s.width, "height": s.height, "deviceScaleFactor": 1, "mobile": s.width < 600})
		faults, _ := v.Eval(inspection).([]any)
		if len(faults) > 0 {
			t.Errorf("%s, %s: %v", name, s.name, faults)
		}
		if folder == "" {
			continue
		}
		picture := v.Picture(true)
		require.NotEmpty(t, picture)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+"-"+s.name+".png"), picture, 0o644))
	}
	v.Call("Emulation.clearDeviceMetricsOverride", nil)
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
