package fetch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func TestGetReturnsStatusHeaderAndBody(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, r.Header.Get("Accept"))
	})
	resp, err := fetch.New(fetch.Config{}).Get(t.Context(), srv.URL, "application/json")
	require.NoError(t, err)
	require.Equal(t, 200, resp.Status)
	require.Equal(t, "max-age=60", resp.Header.Get("Cache-Control"))
	require.Equal(t, "application/json", string(resp.Body))
}

func TestGetDoesNotReadErrorPages(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write(make([]byte, 4096))
	})
	resp, err := fetch.New(fetch.Config{MaxBytes: 10}).Get(t.Context(), srv.URL, "")
	require.NoError(t, err)
	require.Equal(t, 404, resp.Status)
	require.Nil(t, resp.Body)
}

func TestJWKS02BodyLimit(t *testing.T) {
	for _, tt := range []struct {
		name string
		size int
		ok   bool
	}{
		{"at the limit", 1000, true},
		{"one byte more", 1001, false},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %v", tt.name, chunked), func(t *testing.T) {
				srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					if chunked {
						w.(http.Flusher).Flush()
					}
					_, _ = w.Write(make([]byte, tt.size))
				})
				resp, err := fetch.New(fetch.Config{MaxBytes: 1000}).Get(t.Context(), srv.URL, "")
				if tt.ok {
					require.NoError(t, err)
					require.Len(t, resp.Body, tt.size)
				} else {
					require.ErrorIs(t, err, fetch.ErrTooLarge)
				}
			})
		}
	}
}

// A 64 MB answer, declared, chunked or compressed, must not be read into memory.
func TestJWKS02HugeAnswersAddLittleHeap(t *testing.T) {
	var bomb bytes.Buffer
	zw := gzip.NewWriter(&bomb)
	for range 64 {
		_, err := zw.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, zw.Close())

	chunk := bytes.Repeat([]byte(" "), 64<<10)
	send := func(w io.Writer) {
		for range 1024 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"declared length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(64<<20))
			send(w)
		},
		"chunked": func(w http.ResponseWriter, _ *http.Request) { send(w) },
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, h)
			client := fetch.New(fetch.Config{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := client.Get(t.Context(), srv.URL, "")
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, fetch.ErrTooLarge)
			// TotalAlloc counts what was ever allocated, by the test's server too.
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
		})
	}
}

func TestContentEncodingThatNobodyUndidIsRefused(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		_, _ = io.WriteString(w, "{}")
	})
	_, err := fetch.New(fetch.Config{}).Get(t.Context(), srv.URL, "")
	require.ErrorIs(t, err, fetch.ErrMalformed)
}

func TestJWKS02Redirects(t *testing.T) {
	reached := false
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached = true })
	var srv *httptest.Server
	srv = serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{
			"/one":    "/end",
			"/three":  "/two",
			"/two":    "/one",
			"/four":   "/three",
			"/loop":   "/loop",
			"/other":  other.URL,
			"/scheme": strings.Replace(srv.URL, "http:", "https:", 1),
			"/user":   strings.Replace(srv.URL, "http://", "http://user:pass@", 1),
			"/file":   "file:///etc/hostname",
			"/meta":   "http://169.254.169.254/",
		}[r.URL.Path]
		if to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	})
	client := fetch.New(fetch.Config{})
	for path, ok := range map[string]bool{
		"/end": true, "/one": true, "/three": true,
		"/four": false, "/loop": false, "/other": false, "/scheme": false, "/user": false, "/file": false, "/meta": false,
	} {
		t.Run(path, func(t *testing.T) {
			_, err := client.Get(t.Context(), srv.URL+path, "")
			if ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, fetch.ErrRedirect)
			var fe *fetch.Error
			require.ErrorAs(t, err, &fe)
			require.NotContains(t, err.Error(), "pass")
		})
	}
	require.False(t, reached, "another origin was asked")

	t.Run("a POST follows none", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodPost, srv.URL+"/one", strings.NewReader("token=secret"))
		require.NoError(t, err)
		_, err = client.Do(t.Context(), req)
		require.ErrorIs(t, err, fetch.ErrRedirect)
	})
}

func TestJWKS02HangingServerEndsWithTheTimeout(t *testing.T) {
	release := make(chan struct{})
	headers := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	body := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) }) // runs before the servers' Close
	for name, srv := range map[string]*httptest.Server{"before the headers": headers, "inside the body": body} {
		t.Run(name, func(t *testing.T) {
			_, err := fetch.New(fetch.Config{Timeout: 20 * time.Millisecond}).Get(t.Context(), srv.URL, "")
			require.ErrorIs(t, err, fetch.ErrTimeout)
			require.ErrorIs(t, err, context.DeadlineExceeded)

			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = fetch.New(fetch.Config{}).Get(ctx, srv.URL, "")
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

func TestOnlyTheTransportOfTheGivenClientIsUsed(t *testing.T) {
	var cookies []string
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cookies = r.Header["Cookie"]
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: "secret"}})

	given := &http.Client{
		Jar:           jar,
		Timeout:       time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return nil },
		Transport:     roundTripper(func(r *http.Request) (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) }),
	}
	client := fetch.New(fetch.Config{HTTPClient: given})
	require.Equal(t, time.Second, client.Timeout())
	for range 2 {
		_, err = client.Get(t.Context(), srv.URL, "")
		require.NoError(t, err)
		require.Empty(t, cookies)
	}
	require.NotNil(t, given.Jar, "the given client was changed")
	require.Len(t, jar.Cookies(u), 1)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// As net/http hangs up, the server may end its answer, and sometimes that is what net/http returns.
func TestAnAnswerAfterTheDeadlineIsNone(t *testing.T) {
	for name, status := range map[string]int{"a document": http.StatusOK, "an error page": http.StatusNotFound} {
		for when, late := range map[string]func(*http.Request, *http.Response){
			"header": func(r *http.Request, _ *http.Response) { <-r.Context().Done() },
			"body": func(r *http.Request, res *http.Response) {
				res.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), readerFunc(func([]byte) (int, error) {
					<-r.Context().Done()
					return 0, io.EOF
				})))
			},
		} {
			if when == "body" && status != http.StatusOK {
				continue // which nobody reads
			}
			t.Run(name+", "+when, func(t *testing.T) {
				racing := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					res := &http.Response{StatusCode: status, ContentLength: -1, Body: http.NoBody, Request: r}
					late(r, res)
					return res, nil
				})}
				_, err := fetch.New(fetch.Config{HTTPClient: racing, Timeout: time.Millisecond}).Get(t.Context(), "https://as.example.com/", "")
				require.ErrorIs(t, err, fetch.ErrTimeout)
			})
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestErrorsHoldNoBytesOfTheAnswerNorTheQuery(t *testing.T) {
	answer := "HTTP/1.1 SECRET SECRET\r\nSECRET"
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		switch r.URL.Path {
		case "/status":
			_, _ = buf.WriteString(answer)
		case "/header":
			_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nSECRET\r\n\r\n")
		case "/location":
			_, _ = buf.WriteString("HTTP/1.1 302 Found\r\nLocation: http://SECRET%zz/\r\n\r\n")
		case "/short":
			_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nSECRET")
		}
		_ = buf.Flush()
	})
	client := fetch.New(fetch.Config{})
	for _, path := range []string{"/status", "/header", "/location", "/short", "/nothing"} {
		t.Run(path, func(t *testing.T) {
			_, err := client.Get(t.Context(), srv.URL+path+"?q=SECRET", "")
			var fe *fetch.Error
			require.ErrorAs(t, err, &fe)
			require.Contains(t, err.Error(), fe.Host)
			require.NotContains(t, err.Error(), "SECRET")
			for e := err; e != nil; e = errors.Unwrap(e) {
				require.NotContains(t, e.Error(), "SECRET")
			}
		})
	}
}

func TestConnectionErrorsSayWhatHappened(t *testing.T) {
	tlsServer := httptest.NewTLSServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = nil
	t.Cleanup(tlsServer.Close)
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, tt := range []struct{ name, url, want string }{
		{"untrusted certificate", tlsServer.URL, "unknown authority"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), "does not speak TLS"},
		{"refused", gone.URL, "refused"},
		{"not a URL", "https://", "URL not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := fetch.New(fetch.Config{}).Get(t.Context(), tt.url, "")
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestTheNilClientRefuses(t *testing.T) {
	var c *fetch.Client
	_, err := c.Get(t.Context(), "https://example.com", "")
	require.Error(t, err)
}
