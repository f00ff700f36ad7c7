package introspect_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/introspect"
)

// answers are bodies of a 200 and the reason of the refusal; the empty one stands for none.
var answers = []struct{ name, body, reason string }{
	{"active", good, ""},
	{"active and nothing else", `{"active":true}`, ""},
	{"inactive", bad, introspect.ReasonInactive},
	{"inactive, with claims", `{"active":false,"sub":"ada","exp":4102444800}`, introspect.ReasonInactive},
	{"white space around", " \n" + bad + "\r\n", introspect.ReasonInactive},
	{"INTRO-03 active as a string", `{"active":"true","sub":"ada"}`, introspect.ReasonAnswer},
	{"INTRO-03 active as a number", `{"active":1,"sub":"ada"}`, introspect.ReasonAnswer},
	{"INTRO-03 active missing", `{"sub":"ada","exp":4102444800}`, introspect.ReasonAnswer},
	{"INTRO-03 active null", `{"active":null}`, introspect.ReasonAnswer},
	{"INTRO-03 active as an array", `{"active":[true]}`, introspect.ReasonAnswer},
	{"INTRO-03 active as an object", `{"active":{}}`, introspect.ReasonAnswer},
	{"INTRO-03 inactive as a string", `{"active":"false"}`, introspect.ReasonAnswer},
	{"INTRO-03 in other letters", `{"Active":true}`, introspect.ReasonAnswer},
	{"INTRO-03 twice in two spellings", `{"active":true,"ACTIVE":false}`, introspect.ReasonAnswer},
	{"INTRO-03 within another object", `{"token":{"active":true}}`, introspect.ReasonAnswer},
	{"INTRO-04 twice", `{"active":false,"active":true}`, introspect.ReasonAnswer},
	{"INTRO-04 twice, with an escape", `{"active":false,"\u0061ctive":true}`, introspect.ReasonAnswer},
	{"INTRO-04 duplicate deep inside", `{"active":true,"cnf":{"jkt":"a","jkt":"b"}}`, introspect.ReasonAnswer},
	{"INTRO-04 array", `[{"active":true}]`, introspect.ReasonAnswer},
	{"INTRO-04 true", `true`, introspect.ReasonAnswer},
	{"INTRO-04 null", `null`, introspect.ReasonAnswer},
	{"INTRO-04 empty", ``, introspect.ReasonAnswer},
	{"INTRO-04 empty object", `{}`, introspect.ReasonAnswer},
	{"INTRO-04 HTML", "<!doctype html><title>Sign in</title>", introspect.ReasonAnswer},
	{"INTRO-04 truncated", good[:len(good)-1], introspect.ReasonAnswer},
	{"INTRO-04 two values", good + bad, introspect.ReasonAnswer},
	{"INTRO-04 byte order mark", "\ufeff" + good, introspect.ReasonAnswer},
	{"INTRO-04 invalid UTF-8", "{\"active\":true,\"sub\":\"\xff\"}", introspect.ReasonAnswer},
	{"INTRO-04 lone surrogate", `{"active":true,"sub":"\ud800"}`, introspect.ReasonAnswer},
	{"INTRO-04 comment", `{"active":true/**/}`, introspect.ReasonAnswer},
	{"INTRO-04 too deep", `{"active":true,"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, introspect.ReasonAnswer},
	{"INTRO-04 too long", `{"active":true,"a":"` + strings.Repeat("a", 256<<10) + `"}`, introspect.ReasonAnswer},
	{"INTRO-10 signed without being asked for", "e30.eyJhY3RpdmUiOnRydWV9.AAAA", introspect.ReasonAnswer},
}

func TestINTRO03Answers(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			var log logBuffer
			c := serve(t, introspect.Config{Logger: log.logger()}, answer(tt.body))
			claims, refusal := ask(t, c, t.Context(), token)
			checkText(t, strings.ReplaceAll(log.String(), "\n", " "))
			if tt.reason == "" {
				require.Nil(t, refusal)
				var want map[string]any
				d := json.NewDecoder(strings.NewReader(tt.body))
				d.UseNumber()
				require.NoError(t, d.Decode(&want))
				require.Equal(t, want, claims)
				return
			}
			require.Equal(t, tt.reason, refusal.Reason)
			require.NotEqual(t, (&introspect.Error{}).Description(), refusal.Description())
		})
	}
}

func TestINTRO04OtherStatuses(t *testing.T) {
	for _, tt := range []struct {
		status int
		reason string
	}{
		{201, introspect.ReasonUnavailable}, {203, introspect.ReasonUnavailable}, {204, introspect.ReasonUnavailable}, {206, introspect.ReasonUnavailable},
		{304, introspect.ReasonUnavailable},
		{400, introspect.ReasonRefused}, {401, introspect.ReasonRefused}, {403, introspect.ReasonRefused}, {404, introspect.ReasonRefused},
		{405, introspect.ReasonRefused}, {406, introspect.ReasonRefused}, {415, introspect.ReasonRefused},
		{429, introspect.ReasonUnavailable}, {500, introspect.ReasonUnavailable}, {502, introspect.ReasonUnavailable}, {503, introspect.ReasonUnavailable},
	} {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			for _, body := range []string{good, bad} {
				if tt.status == 204 || tt.status == 304 {
					body = ""
				}
				c := serve(t, introspect.Config{}, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tt.status)
					_, _ = w.Write([]byte(body))
				})
				_, refusal := ask(t, c, t.Context(), token)
				require.NotNil(t, refusal)
				require.Equal(t, tt.reason, refusal.Reason)
				require.True(t, refusal.Unavailable)
				require.Contains(t, refusal.Got, strconv.Itoa(tt.status))
			}
		})
	}
}

func TestINTRO11HostileServers(t *testing.T) {
	stolen := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stolen <- r.URL.Path
		_, _ = w.Write([]byte(good))
	}))
	t.Cleanup(other.Close)
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
	}{
		{"a redirect to another origin", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}},
		{"a redirect that becomes a GET", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusSeeOther) }},
		{"a redirect on its own origin", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/introspect" {
				http.Redirect(w, r, "/elsewhere", http.StatusPermanentRedirect)
				return
			}
			stolen <- r.URL.Path
		}},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte(" "), 64<<10)
			for range 64 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
			_, _ = w.Write([]byte(good))
		}},
		{"too large when it is unpacked", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(bytes.Repeat([]byte(" "), 8<<20))
			_ = z.Close()
		}},
		{"hanging", func(_ http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm() // so that the end of the connection is noticed
			<-r.Context().Done()
		}},
		{"closing in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(good))
			panic(http.ErrAbortHandler)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, introspect.Config{Fetch: fetch.New(fetch.Config{Timeout: 200 * time.Millisecond})}, tt.h)
			_, refusal := ask(t, c, t.Context(), token)
			require.NotNil(t, refusal)
			require.Equal(t, introspect.ReasonUnavailable, refusal.Reason)
			require.Empty(t, stolen)
		})
	}
	t.Run("an unknown certificate", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(answer(good))
		srv.Config.ErrorLog = (&logBuffer{}).stdlog()
		srv.StartTLS()
		t.Cleanup(srv.Close)
		_, refusal := ask(t, newClient(t, introspect.Config{Endpoint: fixed(srv.URL)}), t.Context(), token)
		require.NotNil(t, refusal)
		require.ErrorContains(t, refusal, "certificate")
	})
	t.Run("nobody there", func(t *testing.T) {
		srv := httptest.NewServer(answer(good))
		srv.Close()
		_, refusal := ask(t, newClient(t, introspect.Config{Endpoint: fixed(srv.URL)}), t.Context(), token)
		require.NotNil(t, refusal)
	})
}

func TestTOK15LongTokensAreNotSent(t *testing.T) {
	r := quickRemote(says(200, good))
	c := newClient(t, introspect.Config{Fetch: r.client()})
	_, refusal := ask(t, c, t.Context(), strings.Repeat("a", 16<<10+1))
	require.Equal(t, introspect.ReasonTooLong, refusal.Reason)
	_, refusal = ask(t, c, t.Context(), "")
	require.Equal(t, introspect.ReasonInactive, refusal.Reason)
	require.Zero(t, r.asked())
}

func TestTheZeroClientKnowsOfNoToken(t *testing.T) {
	for _, c := range []*introspect.Client{nil, {}} {
		_, refusal := ask(t, c, context.Background(), token)
		require.Equal(t, introspect.ReasonUnavailable, refusal.Reason)
	}
}
