package cimd_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/cimd"
)

// site is an https server on loopback that publishes documents.
type site struct {
	*httptest.Server
	roots   *x509.CertPool
	fetched atomic.Int64
	handle  http.HandlerFunc
}

func newSite(t *testing.T, handle http.HandlerFunc) *site {
	t.Helper()
	s := &site{handle: handle, roots: x509.NewCertPool()}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetched.Add(1)
		s.handle(w, r)
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	s.roots.AddCert(s.Certificate())
	return s
}

func (s *site) fetcher(t *testing.T, change ...func(*cimd.Config)) *cimd.Fetcher {
	t.Helper()
	cfg := cimd.Config{Policy: cimd.Any, DangerouslyAllowLoopback: s.roots}
	for _, c := range change {
		c(&cfg)
	}
	f, err := cimd.New(cfg)
	require.NoError(t, err)
	return f
}

// document makes the document of a URL. Changes are pairs of name and value; nil deletes.
func document(id string, changes ...any) map[string]any {
	d := map[string]any{"client_id": id, "client_name": "An app", "redirect_uris": []string{"https://app.example.com/cb"}}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == nil {
			delete(d, changes[i].(string))
		} else {
			d[changes[i].(string)] = changes[i+1]
		}
	}
	return d
}

func serve(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func requireFault(t *testing.T, err error, reason string) *cimd.Error {
	t.Helper()
	var fault *cimd.Error
	require.ErrorAs(t, err, &fault)
	require.Contains(t, fault.Reason, reason)
	return fault
}

const somewhere = "https://app.example.com/client"

func TestAS30_Documents(t *testing.T) {
	var body any
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) { serve(w, body) })
	id := s.URL + "/client.json"
	get := func(t *testing.T) (*cimd.Document, error) {
		t.Helper()
		return s.fetcher(t, func(c *cimd.Config) {
			c.CheckRedirectURI = func(uri string) error {
				if strings.HasPrefix(uri, "javascript:") {
					return errors.New("no")
				}
				return nil
			}
			c.CheckJWKS = func(raw []byte) error {
				if !strings.Contains(string(raw), "P-256") {
					return errors.New("no")
				}
				return nil
			}
		}).Get(t.Context(), id)
	}
	jwks := map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256"}}}

	for _, c := range []struct {
		name   string
		body   any
		grants []string
		method string
	}{
		{"the least", document(id), []string{"authorization_code", "refresh_token"}, "none"},
		{"grants of elsewhere are left out", document(id, "grant_types", []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}), []string{"authorization_code"}, "none"},
		{"none", document(id, "token_endpoint_auth_method", "none"), []string{"authorization_code", "refresh_token"}, "none"},
		{"private_key_jwt with jwks", document(id, "token_endpoint_auth_method", "private_key_jwt", "jwks", jwks), []string{"authorization_code", "refresh_token"}, "private_key_jwt"},
		{"unknown members", document(id, "x", map[string]any{"y": 1}, "scope", "a b", "logo_uri", "https://x/"), []string{"authorization_code", "refresh_token"}, "none"},
	} {
		t.Run("AS-30 good: "+c.name, func(t *testing.T) {
			body = c.body
			d, err := get(t)
			require.NoError(t, err)
			require.Equal(t, id, d.ClientID)
			require.Equal(t, "An app", d.Name)
			require.Equal(t, []string{"https://app.example.com/cb"}, d.RedirectURIs)
			require.Equal(t, c.grants, d.GrantTypes)
			require.Equal(t, c.method, d.AuthMethod)
		})
	}

	many := make([]string, 21)
	for i := range many {
		many[i] = "https://app.example.com/cb"
	}
	for name, c := range map[string]struct {
		body any
		want string
	}{
		"client_id of another":          {document(id + "x"), "client_id is not the URL"},
		"client_id with a slash":        {document(id + "/"), "client_id is not the URL"},
		"client_id in capitals":         {document(strings.ToUpper(id)), "client_id is not the URL"},
		"no client_id":                  {document(id, "client_id", nil), "lacks client_id"},
		"client_id is a list":           {document(id, "client_id", []string{id}), "not a string"},
		"client_id in another case":     {document(id, "client_id", nil, "Client_ID", id), "lacks client_id"},
		"no client_name":                {document(id, "client_name", nil), "lacks client_name"},
		"blank client_name":             {document(id, "client_name", "  "), "lacks client_name"},
		"long client_name":              {document(id, "client_name", strings.Repeat("n", 301)), "longer"},
		"no redirect_uris":              {document(id, "redirect_uris", nil), "needs redirect_uris"},
		"empty redirect_uris":           {document(id, "redirect_uris", []string{}), "needs redirect_uris"},
		"redirect_uris is a string":     {document(id, "redirect_uris", "https://app.example.com/cb"), "not a list"},
		"redirect_uris with a number":   {document(id, "redirect_uris", []any{1}), "no string"},
		"too many redirect_uris":        {document(id, "redirect_uris", many), "needs redirect_uris"},
		"javascript redirect URI":       {document(id, "redirect_uris", []string{"https://app.example.com/cb", "javascript:alert(1)"}), "redirect_uris cannot"},
		"client_secret":                 {document(id, "client_secret", "s"), "secret"},
		"client_secret_expires_at":      {document(id, "client_secret_expires_at", 0), "secret"},
		"Client_Secret":                 {document(id, "Client_Secret", ""), "secret"},
		"client_secret_basic":           {document(id, "token_endpoint_auth_method", "client_secret_basic"), "neither none"},
		"client_secret_jwt":             {document(id, "token_endpoint_auth_method", "client_secret_jwt"), "neither none"},
		"private_key_jwt without jwks":  {document(id, "token_endpoint_auth_method", "private_key_jwt"), "lacks the jwks"},
		"private_key_jwt with jwks_uri": {document(id, "token_endpoint_auth_method", "private_key_jwt", "jwks_uri", id), "jwks_uri"},
		"jwks without good keys":        {document(id, "token_endpoint_auth_method", "private_key_jwt", "jwks", map[string]any{"keys": []any{}}), "no usable"},
		"no authorization_code":         {document(id, "grant_types", []string{"refresh_token"}), "authorization_code"},
		"no code":                       {document(id, "response_types", []string{"token"}), "lack code"},
		"dpop_bound is a string":        {document(id, "dpop_bound_access_tokens", "true"), "true or false"},
		"a list":                        {[]any{document(id)}, "JSON object"},
		"null":                          {nil, "JSON object"},
		"duplicate members":             {json.RawMessage(`{"client_id":"` + id + `","client_id":"` + id + `","client_name":"n","redirect_uris":["https://a/"]}`), "JSON object"},
		"too deep":                      {document(id, "x", json.RawMessage(strings.Repeat("[", 20)+strings.Repeat("]", 20))), "JSON object"},
		"too large":                     {document(id, "x", strings.Repeat("x", 5<<10)), "larger"},
	} {
		t.Run("AS-30 bad: "+name, func(t *testing.T) {
			body = c.body
			_, err := get(t)
			require.False(t, requireFault(t, err, c.want).Temporary)
		})
	}
}

func TestAS30_Responses(t *testing.T) {
	var handle http.HandlerFunc
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { handle(w, r) })
	id := s.URL + "/client.json"
	for name, c := range map[string]struct {
		handle    http.HandlerFunc
		want      string
		temporary bool
	}{
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_ = json.NewEncoder(w).Encode(document(id))
		}, "not JSON", false},
		"no type": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_ = json.NewEncoder(w).Encode(document(id))
		}, "not JSON", false},
		"201": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(201)
			_ = json.NewEncoder(w).Encode(document(id))
		}, "status 201", false},
		"404": {http.NotFound, "status 404", false},
		"500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status 500", true},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			serve(w, document(id))
		}, "encoded", false},
		"truncated": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			serve(w, document(id))
		}, "completely", true},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "larger", false},
		"large header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
			serve(w, document(id))
		}, "reached", true},
	} {
		t.Run("AS-30 "+name, func(t *testing.T) {
			handle = c.handle
			_, err := s.fetcher(t).Get(t.Context(), id)
			require.Equal(t, c.temporary, requireFault(t, err, c.want).Temporary)
		})
	}
}

func TestAS31_NoRedirectsNoCredentials(t *testing.T) {
	var seen http.Header
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/good" {
			serve(w, document("https://"+r.Host+"/good"))
			return
		}
		seen = r.Header.Clone()
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "v", Path: "/"})
		http.Redirect(w, r, "/good", http.StatusFound)
	})
	f := s.fetcher(t)
	for range 2 {
		_, err := f.Get(t.Context(), s.URL+"/moved")
		requireFault(t, err, "redirect")
	}
	require.EqualValues(t, 2, s.fetched.Load())
	for _, name := range []string{"Cookie", "Authorization", "Referer", "Accept-Encoding"} {
		require.Empty(t, seen.Values(name))
	}
}

// TestAS31_AddressIsJudgedWhenDialled: no spelling and no name leads to this machine.
func TestAS31_AddressIsJudgedWhenDialled(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { serve(w, document("https://"+r.Host+"/c")) })
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	f := s.fetcher(t, func(c *cimd.Config) {
		c.DangerouslyAllowLoopback = nil
		c.Resolver = dns(t, net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	})
	for _, h := range []string{"127.0.0.1", "127.1.2.3", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "rebind.example", "169.254.169.254", "[fe80::1]"} {
		t.Run("AS-31 "+h, func(t *testing.T) {
			_, err := f.Get(t.Context(), "https://"+h+":"+port+"/c")
			require.False(t, requireFault(t, err, "not public").Temporary)
		})
	}
	require.Zero(t, s.fetched.Load())

	t.Run("AS-31 loopback only by the test option, and nothing else with it", func(t *testing.T) {
		f := s.fetcher(t)
		_, err := f.Get(t.Context(), s.URL+"/c")
		require.NoError(t, err)
		for _, h := range []string{"169.254.169.254", "10.0.0.1", "[fe80::1]"} {
			_, err := f.Get(t.Context(), "https://"+h+":"+port+"/c")
			requireFault(t, err, "not public")
		}
	})
}

// dns answers every question with these addresses.
func dns(t *testing.T, v4, v6 net.IP) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := buf[12:n]
			end := 0
			for q[end] != 0 {
				end += int(q[end]) + 1
			}
			typ, question := q[end+2], q[:end+5]
			ip := v4.To4()
			if typ == 28 {
				ip = v6.To16()
			}
			answer := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, question...)
			answer = append(answer, 0xc0, 12, 0, typ, 0, 1, 0, 0, 0, 0, 0, byte(len(ip)))
			_, _ = pc.WriteTo(append(answer, ip...), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

type clock struct{ atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(1_800_000_000+c.Load(), 0) }
func (c *clock) Advance(d time.Duration) { c.Add(int64(d / time.Second)) }

func TestAS32_Cache(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		fresh  time.Duration // still from the cache a second before, not a second after; zero: never from the cache
	}{
		{"nothing said: five minutes", nil, 5 * time.Minute},
		{"max-age", http.Header{"Cache-Control": {"public, max-age=120"}}, 2 * time.Minute},
		{"max-age less Age", http.Header{"Cache-Control": {"max-age=120"}, "Age": {"60"}}, time.Minute},
		{"max-age beyond the bound", http.Header{"Cache-Control": {"max-age=31536000"}}, time.Hour},
		{"max-age counts before Expires", http.Header{"Cache-Control": {"max-age=60"}, "Expires": {"0"}}, time.Minute},
		{"the first max-age counts", http.Header{"Cache-Control": {"max-age=60, max-age=600"}}, time.Minute},
		{"max-age=0", http.Header{"Cache-Control": {"max-age=0"}}, 0},
		{"max-age that is no number", http.Header{"Cache-Control": {"max-age=-5"}}, 0},
		{"max-age without value", http.Header{"Cache-Control": {"max-age"}}, 0},
		{"no-store", http.Header{"Cache-Control": {"max-age=60", "No-Store"}}, 0},
		{"no-cache", http.Header{"Cache-Control": {"no-cache, max-age=60"}}, 0},
		{"Expires", http.Header{"Date": {"Mon, 01 Jan 2029 00:00:00 GMT"}, "Expires": {"Mon, 01 Jan 2029 00:10:00 GMT"}}, 10 * time.Minute},
		{"Expires in the past", http.Header{"Date": {"Mon, 01 Jan 2029 00:00:00 GMT"}, "Expires": {"Sun, 31 Dec 2028 00:00:00 GMT"}}, 0},
		{"Expires: 0", http.Header{"Expires": {"0"}}, 0},
	} {
		t.Run("AS-32 "+c.name, func(t *testing.T) {
			s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
				for k, v := range c.header {
					w.Header()[k] = v
				}
				serve(w, document("https://"+r.Host+"/c"))
			})
			now := &clock{}
			f := s.fetcher(t, func(c *cimd.Config) { c.Now = now.Now })
			get := func(want int64) {
				t.Helper()
				_, err := f.Get(t.Context(), s.URL+"/c")
				require.NoError(t, err)
				require.Equal(t, want, s.fetched.Load())
			}
			get(1)
			if c.fresh == 0 {
				get(2)
				return
			}
			now.Advance(c.fresh - time.Second)
			get(1)
			now.Advance(2 * time.Second)
			get(2)
		})
	}
	t.Run("AS-32 errors and bad documents are never kept", func(t *testing.T) {
		good := false
		var fail http.HandlerFunc
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
			if good {
				serve(w, document("https://"+r.Host+"/c"))
				return
			}
			fail(w, r)
		})
		for _, h := range []http.HandlerFunc{http.NotFound, func(w http.ResponseWriter, _ *http.Request) { serve(w, document("https://other/c")) }} {
			good, fail = false, h
			f := s.fetcher(t)
			_, err := f.Get(t.Context(), s.URL+"/c")
			require.Error(t, err)
			good = true
			_, err = f.Get(t.Context(), s.URL+"/c")
			require.NoError(t, err)
		}
	})
	t.Run("AS-32 a document that turned bad is dropped when it is asked for again", func(t *testing.T) {
		good := true
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			if !good {
				http.NotFound(w, r)
				return
			}
			serve(w, document("https://"+r.Host+"/c"))
		})
		now := &clock{}
		f := s.fetcher(t, func(c *cimd.Config) { c.Now = now.Now })
		_, err := f.Get(t.Context(), s.URL+"/c")
		require.NoError(t, err)
		good = false
		now.Advance(time.Hour)
		_, err = f.Get(t.Context(), s.URL+"/c")
		requireFault(t, err, "404")
	})
}

func TestAS31_RequestsForOneDocumentAreMergedAndAllAreLimited(t *testing.T) {
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	arrived := make(chan struct{}, 100)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		serve(w, document("https://"+r.Host+r.URL.Path))
	})
	defer letGo()
	now := &clock{}
	f := s.fetcher(t, func(c *cimd.Config) { c.Now = now.Now })
	var wg sync.WaitGroup
	var failed atomic.Int64
	get := func(path string) {
		wg.Go(func() {
			if _, err := f.Get(context.Background(), s.URL+path); err != nil {
				failed.Add(1)
			}
		})
	}
	for range 20 {
		get("/same")
	}
	<-arrived
	for _, p := range []string{"/1", "/2", "/3", "/4", "/5", "/6", "/7"} {
		get(p)
		<-arrived
	}
	_, err := f.Get(t.Context(), s.URL+"/ninth")
	require.True(t, requireFault(t, err, "too many").Temporary)

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.Get(gone, s.URL+"/1")
	requireFault(t, err, "ended before")
	require.ErrorIs(t, err, context.Canceled)

	letGo()
	wg.Wait()
	require.Zero(t, failed.Load())
	require.EqualValues(t, 8, s.fetched.Load())

	t.Run("AS-31 rate per host", func(t *testing.T) {
		var last error
		n := 0
		for ; last == nil && n < 100; n++ {
			_, last = f.Get(t.Context(), s.URL+"/r"+strings.Repeat("x", n))
		}
		requireFault(t, last, "last minute")
		require.LessOrEqual(t, s.fetched.Load(), int64(12))
		now.Advance(time.Minute)
		_, err := f.Get(t.Context(), s.URL+"/again")
		require.NoError(t, err)
	})
}

func TestAS31_SlowHost(t *testing.T) {
	stop := make(chan struct{})
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-stop:
		}
	})
	defer close(stop)
	_, err := s.fetcher(t, func(c *cimd.Config) { c.Timeout = 20 * time.Millisecond }).Get(t.Context(), s.URL+"/c")
	require.True(t, requireFault(t, err, "reached").Temporary)
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// As net/http closes a connection the server may answer once more, and sometimes that is what it returns.
func TestAS31_AnswerAfterTheDeadline(t *testing.T) {
	f, err := cimd.New(cimd.Config{Policy: cimd.Any, Timeout: time.Millisecond})
	require.NoError(t, err)
	f.SetTransport(transport(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		w := httptest.NewRecorder()
		serve(w, document(somewhere))
		return w.Result(), nil
	}))
	_, err = f.Get(t.Context(), somewhere)
	require.True(t, requireFault(t, err, "reached").Temporary)
}

func TestAS31_UntrustedCertificate(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { serve(w, document("https://"+r.Host+"/c")) })
	_, err := s.fetcher(t, func(c *cimd.Config) { c.DangerouslyAllowLoopback = x509.NewCertPool() }).Get(t.Context(), s.URL+"/c")
	requireFault(t, err, "reached")
	require.Zero(t, s.fetched.Load())
}

func TestAS33_TrustPolicy(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { serve(w, document("https://"+r.Host+"/c")) })
	for _, c := range []struct {
		name   string
		policy cimd.Policy
		hosts  []string
		ok     bool
	}{
		{"zero denies", 0, nil, false},
		{"deny", cimd.Deny, nil, false},
		{"listed, nobody", cimd.Listed, nil, false},
		{"listed, another", cimd.Listed, []string{"app.example.com"}, false},
		{"listed, another port", cimd.Listed, []string{"127.0.0.1"}, false},
		{"listed", cimd.Listed, []string{"app.example.com", s.Listener.Addr().String()}, true},
		{"any", cimd.Any, nil, true},
	} {
		t.Run("AS-33 "+c.name, func(t *testing.T) {
			before := s.fetched.Load()
			_, err := s.fetcher(t, func(cfg *cimd.Config) { cfg.Policy, cfg.Hosts = c.policy, c.hosts }).Get(t.Context(), s.URL+"/c")
			if c.ok {
				require.NoError(t, err)
				return
			}
			requireFault(t, err, "does not accept")
			require.Equal(t, before, s.fetched.Load())
		})
	}
	var none *cimd.Fetcher
	_, err := none.Get(t.Context(), somewhere)
	fault := requireFault(t, err, "does not accept")
	require.Equal(t, "app.example.com", fault.Host)
	require.Contains(t, fault.Error(), "app.example.com")

	for _, cfg := range []cimd.Config{{Policy: 7}, {Policy: -1}, {Policy: cimd.Any, Hosts: []string{"a"}}, {Policy: cimd.Listed, Hosts: []string{"https://a"}}, {Policy: cimd.Listed, Hosts: []string{"A"}}, {Policy: cimd.Listed, Hosts: []string{""}}} {
		_, err := cimd.New(cfg)
		require.Error(t, err)
	}
}
