package cimd_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/cimd"
)

// People see the host of the URL. A parser decodes it to something that looks like the host of somebody else, while the connection goes to the xn-- form,
// for which anybody can have a certificate.
func TestAS30_HostsThatLookLikeOthers(t *testing.T) {
	f, err := cimd.New(cimd.Config{Policy: cimd.Any, Resolver: dns(t, net.IPv4(127, 0, 0, 1), net.IPv6loopback)})
	require.NoError(t, err)
	for name, raw := range map[string]string{
		"a Cyrillic letter":        "https://%D0%B0pple.com/client.json",
		"a division slash":         "https://apple.com%E2%88%95login.evil.example/client.json",
		"a one dot leader":         "https://trusted.example%E2%80%A4com.evil.example/client.json",
		"an ASCII letter, encoded": "https://%61pple.com/client.json",
		"with a port":              "https://%D0%B0pple.com:8443/client.json",
		"not encoded":              "https://\u0430pple.com/client.json",
	} {
		t.Run("AS-30 "+name, func(t *testing.T) {
			refused := cimd.CheckURL(raw)
			require.Error(t, refused)
			_, err := f.Get(t.Context(), raw)
			requireFault(t, err, refused.Error())
		})
	}
	require.NoError(t, cimd.CheckURL("https://xn--pple-43d.com/client.json"))
}

func TestAS31_StrangersDoNotKeepOutAnApplicationThatWasGoodBefore(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/good") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		serve(w, document("https://"+r.Host+r.URL.Path))
	})
	now := &clock{}
	f := s.fetcher(t, func(c *cimd.Config) { c.Now = now.Now })
	_, err := f.Get(t.Context(), s.URL+"/good")
	require.NoError(t, err)
	now.Advance(2 * time.Minute)

	for i := range 12 {
		_, err = f.Get(t.Context(), fmt.Sprint(s.URL, "/nothing", i))
		requireFault(t, err, "404")
	}
	_, err = f.Get(t.Context(), s.URL+"/nothing")
	requireFault(t, err, "last minute")
	_, err = f.Get(t.Context(), s.URL+"/good")
	require.NoError(t, err, "its copy is too old, and it is fetched again all the same")
	_, err = f.Get(t.Context(), s.URL+"/good-but-new")
	requireFault(t, err, "last minute")
}
