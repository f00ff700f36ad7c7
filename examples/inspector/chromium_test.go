//go:build browser && unix

package inspector

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-mcpauth/sdk/examples/internal/chromium"
)

// A tab also knows what it has passed.
type tab struct {
	*chromium.Tab
	t        *testing.T
	pictures int

	mu   sync.Mutex
	seen []string // the text of each page since forget, when it had been parsed, so that none is missed that goes away by itself
}

func newTab(t *testing.T, b *chromium.Browser) *tab {
	t.Helper()
	v := &tab{t: t}
	v.Tab = b.NewTab(t, func(event string, raw json.RawMessage) {
		var params struct{ Name, Payload string }
		if event == "Runtime.bindingCalled" && json.Unmarshal(raw, &params) == nil && params.Name == "mcpauthSeen" {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.seen = append(v.seen, params.Payload)
		}
	})
	v.Call("Runtime.addBinding", map[string]any{"name": "mcpauthSeen"})
	v.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{
		"source": `document.addEventListener('DOMContentLoaded', () => mcpauthSeen(document.body.innerText))`,
	})
	v.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 1280, "height": 1200, "deviceScaleFactor": 1, "mobile": false})
	t.Cleanup(func() {
		if t.Failed() {
			v.picture("failure")
		}
	})
	return v
}

// reads waits for a text anywhere on the page.
func (v *tab) reads(text string) {
	v.t.Helper()
	v.Wait(text, fmt.Sprintf("document.body.innerText.includes(%q)", text))
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
	v.Until("a page with "+strings.Join(texts, ", "), func() bool {
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
	v.Click(strings.TrimSpace(selector+" "+text), fmt.Sprintf(`[...document.querySelectorAll(%q)].find(e => e.checkVisibility() && !e.disabled && (!%q || e.textContent.trim() === %[2]q))`, selector, text))
}

// write puts text into the field with this label.
func (v *tab) write(label, text string) {
	v.t.Helper()
	field := fmt.Sprintf(`[...document.querySelectorAll('input, textarea')].find(e => [...e.labels].some(l => l.textContent.trim() === %q))`, label)
	v.Click("the field "+label, field)
	v.Wait("the focus in the field "+label, "document.activeElement === "+field)
	v.Call("Input.insertText", map[string]any{"text": text})
}

// picture saves what is seen in the folder that MCPAUTH_SCREENSHOTS names, if it is set.
func (v *tab) picture(name string) {
	folder := os.Getenv("MCPAUTH_SCREENSHOTS")
	if folder == "" {
		return
	}
	v.pictures++
	picture := v.Picture(false)
	if picture == nil {
		v.t.Logf("no picture of %s: the page went away", name)
		return
	}
	if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("inspector-%s-%02d-%s.png", filepath.Base(v.t.Name()), v.pictures, name)), picture, 0o644); err != nil {
		v.t.Error(err)
	}
}
