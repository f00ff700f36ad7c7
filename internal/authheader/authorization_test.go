package authheader_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/authheader"
)

var parseTests = []struct {
	name   string
	value  string
	scheme string
	token  string
	err    error
}{
	{"CH-15 the usual form", "Bearer abc", "Bearer", "abc", nil},
	{"CH-15 lower case", "bearer abc", "bearer", "abc", nil},
	{"CH-15 upper case", "BEARER abc", "BEARER", "abc", nil},
	{"CH-15 DPoP in any case", "dPoP abc", "dPoP", "abc", nil},
	{"CH-16 several SP", "Bearer    abc", "Bearer", "abc", nil},
	{"CH-16 every token68 character", "Bearer AZaz09-._~+/==", "Bearer", "AZaz09-._~+/==", nil},
	{"CH-16 a JWT", "Bearer eyJh.eyJz.c2ln", "Bearer", "eyJh.eyJz.c2ln", nil},

	{"CH-15 Basic is no credential of ours", "Basic dXNlcjpwYXNz", "Basic", "dXNlcjpwYXNz", nil},
	{"CH-15 Digest with parameters", `Digest username="a, b", realm="x", uri="/", nc=01, response = "f\"f"`, "Digest", `username="a, b", realm="x", uri="/", nc=01, response = "f\"f"`, nil},
	{"CH-15 parameters outside the grammar", "AWS4-HMAC-SHA256 Credential=A/B/C, SignedHeaders=host;range, Signature=fe", "AWS4-HMAC-SHA256", "Credential=A/B/C, SignedHeaders=host;range, Signature=fe", nil},
	{"CH-15 a scheme alone", "Negotiate", "Negotiate", "", nil},
	{"CH-15 Bearer is no prefix", "Bearerx abc", "Bearerx", "abc", nil},
	{"CH-15 a token without a scheme", "eyJh.eyJz.c2ln", "eyJh.eyJz.c2ln", "", nil},

	{"CH-16 empty", "", "", "", authheader.ErrMalformed},
	{"CH-16 Bearer alone", "Bearer", "", "", authheader.ErrMalformed},
	{"CH-16 DPoP alone", "dpop", "", "", authheader.ErrMalformed},
	{"CH-16 Bearer and a space", "Bearer ", "", "", authheader.ErrMalformed},
	{"CH-16 Basic and a space", "Basic ", "", "", authheader.ErrMalformed},
	{"CH-16 two words", "Bearer a b", "", "", authheader.ErrMalformed},
	{"CH-16 space before", " Bearer a", "", "", authheader.ErrMalformed},
	{"CH-16 space after", "Bearer a ", "", "", authheader.ErrMalformed},
	{"CH-16 tab after", "Bearer a\t", "", "", authheader.ErrMalformed},
	{"THREAT-3 tab as separator", "Bearer\ta", "", "", authheader.ErrMalformed},
	{"THREAT-3 tab behind the space", "Bearer \ta", "", "", authheader.ErrMalformed},
	{"THREAT-3 no-break space as separator", "Bearer\u00a0a", "", "", authheader.ErrMalformed},
	{"THREAT-3 no-break space behind the space", "Bearer \u00a0a", "", "", authheader.ErrMalformed},
	{"CH-16 = in the middle", "Bearer a=b", "", "", authheader.ErrMalformed},
	{"CH-16 only =", "Bearer ==", "", "", authheader.ErrMalformed},
	{"CH-16 auth-params", `Bearer token="a"`, "", "", authheader.ErrMalformed},
	{"CH-16 quoted token", `Bearer "a"`, "", "", authheader.ErrMalformed},
	{"CH-16 semicolon", "Bearer a;b", "", "", authheader.ErrMalformed},
	{"CH-16 colon behind the scheme", "Bearer: a", "", "", authheader.ErrMalformed},
	{"CH-16 NUL", "Bearer a\x00", "", "", authheader.ErrMalformed},
	{"CH-16 line break", "Bearer a\r\nX: y", "", "", authheader.ErrMalformed},
	{"CH-16 non-ASCII", "Bearer \u00e9", "", "", authheader.ErrMalformed},
	{"CH-16 scheme in look-alike letters", "\u0412earer a", "", "", authheader.ErrMalformed},
	{"CH-16 comma before the token", "Bearer ,a", "", "", authheader.ErrMalformed},
	{"CH-16 control character in a foreign scheme", "Foo a\x01", "", "", authheader.ErrMalformed},
	{"CH-16 quoted string without an end", `Digest realm="x, Bearer y`, "", "", authheader.ErrMalformed},

	{"CH-13 list of two", "Bearer a, Bearer b", "", "", authheader.ErrMultiple},
	{"CH-13 list without space", "Bearer a,b", "", "", authheader.ErrMultiple},
	{"CH-13 DPoP, then Bearer", "DPoP a, Bearer b", "", "", authheader.ErrMultiple},
	{"CH-13 padded token, then another", "Bearer a==, Bearer b", "", "", authheader.ErrMultiple},
	{"CH-13 Basic, then Bearer", "Basic a, Bearer b", "", "", authheader.ErrMultiple},
	{"CH-13 Basic, then a scheme alone", "Basic a, Bearer", "", "", authheader.ErrMultiple},
	{"CH-13 scheme alone, then Bearer", "Negotiate, Bearer b", "", "", authheader.ErrMultiple},
	{"CH-13 Digest, then Bearer", `Digest realm="x",Bearer b`, "", "", authheader.ErrMultiple},
	{"CH-13 an escaped quote does not hide the second", `Digest realm="\"", Bearer b`, "", "", authheader.ErrMultiple},
	{"CH-13 empty elements between", "Basic a, , ,Bearer b", "", "", authheader.ErrMultiple},

	{"TOK-15 longest token", "Bearer " + strings.Repeat("a", authheader.MaxToken), "Bearer", strings.Repeat("a", authheader.MaxToken), nil},
	{"TOK-15 one byte more", "Bearer " + strings.Repeat("a", authheader.MaxToken+1), "Bearer", "", authheader.ErrTooLong},
	{"TOK-15 the cap comes before the grammar", "DPoP " + strings.Repeat(",", authheader.MaxToken+1), "DPoP", "", authheader.ErrTooLong},
	{"TOK-15 spaces count", "Bearer " + strings.Repeat(" ", authheader.MaxToken) + "a", "Bearer", "", authheader.ErrTooLong},
	{"TOK-15 a foreign scheme", "Negotiate " + strings.Repeat("a", authheader.MaxToken+1), "Negotiate", "", authheader.ErrTooLong},
	{"TOK-15 a scheme without an end", strings.Repeat("a", 1<<20), "", "", authheader.ErrTooLong},
}

func TestParse(t *testing.T) {
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := authheader.Parse(http.Header{"Authorization": {tt.value}}, nil)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, authheader.Credentials{Scheme: tt.scheme, Token: tt.token}, c)
		})
	}
}

func TestCH13_FieldLinesAreCounted(t *testing.T) {
	for _, lines := range [][]string{nil, {}} {
		_, err := authheader.Parse(http.Header{"Authorization": lines}, nil)
		require.ErrorIs(t, err, authheader.ErrNone)
	}
	for _, lines := range [][]string{{"Bearer a", "Bearer a"}, {"Bearer a", ""}, {"Basic a", "Bearer a"}, {"", "", ""}} {
		c, err := authheader.Parse(http.Header{"Authorization": lines}, nil)
		require.ErrorIs(t, err, authheader.ErrMultiple, "%q", lines)
		require.Zero(t, c)
	}
	_, err := authheader.Parse(nil, nil)
	require.ErrorIs(t, err, authheader.ErrNone)
}

func TestCH15_SchemePredicates(t *testing.T) {
	for scheme, want := range map[string][2]bool{
		"Bearer": {true, false}, "bEaReR": {true, false}, "DPoP": {false, true}, "dpop": {false, true},
		"": {}, "Basic": {}, "Bearer ": {}, "Beare": {}, "DPoPs": {},
	} {
		c := authheader.Credentials{Scheme: scheme}
		require.Equal(t, want, [2]bool{c.IsBearer(), c.IsDPoP()}, scheme)
	}
}

func TestSEC02_CredentialsNeverShowTheToken(t *testing.T) {
	for _, c := range []authheader.Credentials{{Scheme: "Bearer", Token: "s3cret"}, {Scheme: "dpop", Token: "s3cret"}, {Scheme: "Basic", Token: "s3cret"}, {Scheme: "s3cret"}} {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c, "p", &c)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c)
		j, err := json.Marshal(struct{ C authheader.Credentials }{c})
		require.NoError(t, err)
		all := fmt.Sprintf("%v %+v %#v %s %q %v %v", c, c, c, c, c, &c, []any{c}) + log.String() + string(j)
		require.NotContains(t, all, "s3cret")
		require.NotContains(t, all, fmt.Sprintf("%x", "s3cret"))
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	h := http.Header{"Authorization": {"Bearer " + strings.Repeat("a", 1000)}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if c, err := authheader.Parse(h, nil); err != nil || !c.IsBearer() {
			t.Fatal(err)
		}
	}))
}

var queryTests = []struct {
	name  string
	query string
	want  bool
}{
	{"CH-14 empty", "", false},
	{"CH-14 alone", "access_token=x", true},
	{"CH-14 last", "a=b&access_token=x", true},
	{"CH-14 first", "access_token=x&a=b", true},
	{"CH-14 without a value", "access_token", true},
	{"CH-14 without a value, more behind", "access_token&a", true},
	{"CH-14 empty value", "a&access_token=", true},
	{"CH-14 percent-encoded name", "%61ccess%5Ftoken=x", true},
	{"CH-14 wholly encoded", "%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x", true},
	{"CH-14 behind a semicolon", "a=b;access_token=x", true},
	{"CH-14 behind empty parameters", "&&;access_token=x", true},
	{"CH-14 longer name", "access_tokens=x", false},
	{"CH-14 shorter name", "access_toke=x", false},
	{"CH-14 prefixed name", "xaccess_token=x", false},
	{"CH-14 other case", "Access_Token=x", false},
	{"CH-14 as a value", "a=access_token", false},
	{"CH-14 in a value", "a=?access_token=x", false},
	{"CH-14 encoded twice", "%2561ccess_token=x", false},
	{"CH-14 bad escape", "%6zccess_token=x", false},
	{"CH-14 cut escape", "access_toke%6", false},
	{"CH-14 encoded ampersand", "a=b%26access_token=x", false},
	{"CH-14 encoded equals sign", "access_token%3Dx", false},
}

func TestQueryToken(t *testing.T) {
	for _, tt := range queryTests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, authheader.QueryToken(tt.query))
			require.Zero(t, testing.AllocsPerRun(10, func() { _ = authheader.QueryToken(tt.query) != tt.want }))
		})
	}
}

var refCredentials = regexp.MustCompile(`^(?i:bearer|dpop) +([A-Za-z0-9._~+/-]+=*)$`)

// FuzzParse: one of our schemes is accepted if and only if the whole field matches the grammar.
func FuzzParse(f *testing.F) {
	for _, tt := range parseTests {
		if len(tt.value) < 1<<10 {
			f.Add(tt.value)
		}
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := authheader.Parse(http.Header{"Authorization": {value}}, nil)
		m := refCredentials.FindStringSubmatch(value)
		if len(value)-len("Bearer ") >= authheader.MaxToken-1 {
			return // the cap has its own table rows
		}
		accepted := err == nil && (c.IsBearer() || c.IsDPoP())
		if accepted != (m != nil) {
			t.Fatalf("Parse(%q) = %v, reference %v", value, err, m != nil)
		}
		if accepted && (c.Token != m[1] || c.Scheme+strings.Repeat(" ", len(value)-len(c.Scheme)-len(c.Token))+c.Token != value) {
			t.Fatalf("Parse(%q): wrong parts", value)
		}
		if err != nil && c != (authheader.Credentials{}) {
			t.Fatalf("Parse(%q): credentials beside %v", value, err)
		}
		if _, err := authheader.Parse(http.Header{"Authorization": {value, "x"}}, nil); err == nil {
			t.Fatal("two lines accepted")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	h := http.Header{"Authorization": {"Bearer " + strings.Repeat("eyJhbGci", 140)}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := authheader.Parse(h, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueryToken(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if authheader.QueryToken("session=1234&mode=stateless") {
			b.Fatal("found a token")
		}
	}
}

// No byte outside the grammar passes, wherever it stands; runs of good ones are looked at several at a time.
func TestParse_EveryPlace(t *testing.T) {
	for length := range 40 {
		good := strings.Repeat("a", length+1)
		for at := range len(good) {
			for _, bad := range []string{" ", "\x00", "\x80", "\xff", "\"", ",", "(", "@", "[", "`", "{", "\x7f"} {
				text := good[:at] + bad + good[at+1:]
				_, err := authheader.Parse(http.Header{"Authorization": {"Bearer " + text}}, nil)
				if bad == " " && (at == 0 && length > 0) {
					require.NoError(t, err, "a further space before the token")
					continue
				}
				require.Error(t, err, "%q", text)
			}
		}
		_, err := authheader.Parse(http.Header{"Authorization": {"Bearer " + good}}, nil)
		require.NoError(t, err)
	}
}
