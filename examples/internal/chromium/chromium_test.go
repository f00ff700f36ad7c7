//go:build browser && unix

package chromium_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/chromium"
)

const page = `<!doctype html><title>First</title><h1>First</h1>
<label for=box>Agree</label><input type=checkbox id=box hidden>
<button onclick="if (document.querySelector('#box').checked) location = '/second'">Go</button>
<script>document.cookie = 'visited=1'; console.log('begun')</script>`

func TestAPersonsWay(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/second" {
			_, _ = io.WriteString(w, "<!doctype html><title>Second</title><h1>Second</h1>")
			return
		}
		_, _ = io.WriteString(w, page)
	}))
	defer web.Close()
	b := chromium.Start(t)

	var mu sync.Mutex
	var heard []string
	v := b.NewTab(t, func(event string, params json.RawMessage) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, event+string(params))
	})
	v.Open(web.URL)
	v.Heading("First")
	require.Contains(t, v.Text(), "Agree")
	require.NotEmpty(t, v.Picture(false))
	v.Until("the event", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(strings.Join(heard, "\n"), "begun")
	})
	v.Click("the box, by its label", "document.querySelector('#box')")
	v.Wait("a tick", "document.querySelector('#box').checked")
	v.Click("the button", "document.querySelector('button')")
	v.Heading("Second")

	other := b.NewTab(t, nil)
	other.Open(web.URL + "/second")
	require.Empty(t, other.Eval("document.cookie"), "a tab has cookies of its own")
	require.Equal(t, "visited=1", v.Eval("document.cookie"))
}

// No name leads out of this machine.
func TestNothingElseIsReached(t *testing.T) {
	reported := make(chan string, 10)
	var web *httptest.Server
	web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/":
			port := web.URL[strings.LastIndex(web.URL, ":"):]
			_, _ = io.WriteString(w, `<script>(async () => {
				for (const name of ['localhost', 'app.example', 'other.example'])
					await fetch('http://' + name + '`+port+`/hello', {mode: 'no-cors'}).catch(() => {});
				await fetch('/done')
			})()</script>`)
		case "/hello":
			reported <- r.Host[:strings.LastIndex(r.Host, ":")]
		case "/done":
			close(reported)
		}
	}))
	defer web.Close()
	p := chromium.Show(t, web.URL, "app.example")
	var got []string
	for {
		select {
		case name, ok := <-reported:
			if ok {
				got = append(got, name)
				continue
			}
			require.Equal(t, []string{"localhost", "app.example"}, got)
			return
		case <-p.Exited():
			require.Fail(t, "the browser ended")
		}
	}
}
