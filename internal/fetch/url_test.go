package fetch_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

var urlCases = []struct {
	raw string
	ok  bool
}{
	{"https://login.example.com", true},
	{"https://login.example.com/", true},
	{"https://login.example.com:8443/a/b?p=policy", true},
	{"HTTPS://login.example.com/", true},
	{"https://[2001:db8::1]:443/keys", true},
	{"https://127.0.0.1/keys", true},
	{"http://localhost:8080/keys", true},
	{"http://LOCALHOST/keys", true},
	{"http://127.0.0.1/keys", true},
	{"http://127.255.0.9:1/keys", true},
	{"http://[::1]:80/keys", true},

	{"", false},
	{"keys", false},
	{"/keys", false},
	{"//login.example.com/keys", false},
	{"https:", false},
	{"https://", false},
	{"https:///keys", false},
	{"https://:443/keys", false},
	{"https:login.example.com", false},
	{"https://login.example.com:/keys", false},
	{"https://login.example.com:0/keys", false},
	{"https://login.example.com:65536/keys", false},
	{"https://user@login.example.com/", false},
	{"https://user:pass@login.example.com/", false},
	{"https://@login.example.com/", false},
	{"https://login.example.com/#", false},
	{"https://login.example.com/#a", false},
	{"https://login.example.com\\@evil.example", false},
	{"https://login.example.com/ keys\x00", false},
	{"https://lo gin.example.com/", false},
	{"https://login,example.com/", false},
	{"https://login%2eexample.com/", false},
	{"https://bücher.example/", false},
	{"https://[::1%25eth0]/", false},
	{"https://[2001:db8::1/", false},
	{"http://login.example.com/", false},
	{"http://localhost.example.com/", false},
	{"http://localhost./", false},
	{"http://127.0.0.1.example.com/", false},
	{"http://127.1/", false},
	{"http://0177.0.0.1/", false},
	{"http://2130706433/", false},
	{"http://[::ffff:127.0.0.1]/", false},
	{"http://0.0.0.0/", false},
	{"http://10.0.0.1/", false},
	{"http://169.254.169.254/", false},
	{"ftp://login.example.com/", false},
	{"file:///etc/hostname", false},
	{"javascript:alert(1)", false},
}

func TestJWKS01URLsThatMayBeFetched(t *testing.T) {
	for _, tt := range urlCases {
		t.Run(tt.raw, func(t *testing.T) {
			err := fetch.CheckURL(tt.raw)
			if tt.ok {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			if tt.raw != "" {
				require.NotContains(t, err.Error(), tt.raw)
			}
		})
	}
}

// Whatever passes CheckURL is what a second look at the URL would also allow,
// and stays so when it is printed and read again.
func FuzzCheckURL(f *testing.F) {
	for _, tt := range urlCases {
		f.Add(tt.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if fetch.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.Nil(t, u.User)
		require.NotContains(t, raw, "#")
		require.NotContains(t, u.Host, "@")
		require.True(t, u.Scheme == "https" || u.Scheme == "http" && fetch.Loopback(raw))
		require.False(t, strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }))
		require.NoError(t, fetch.CheckURL(u.String()), u.String())
	})
}
