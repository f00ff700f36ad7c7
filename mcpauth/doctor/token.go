package doctor

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// A token is what can be read of an access token by everybody who holds it. Nothing of it is verified.
type token struct {
	raw    string
	parts  jws.Parts
	jwt    bool
	header map[string]any
	claims map[string]any
}

// maxTokenDepth bounds header and claims; ZITADEL's roles are three levels deep.
const maxTokenDepth = 32

func decode(raw string) *token {
	t := &token{raw: raw, parts: jws.Split(raw)}
	if !t.parts.OK() {
		return t
	}
	header, err := object(t.parts.Header)
	claims, err2 := object(t.parts.Payload)
	if err == nil && err2 == nil {
		t.jwt, t.header, t.claims = true, header, claims
	}
	return t
}

func object(part string) (map[string]any, error) {
	text, err := jws.Decode(part)
	if err != nil {
		return nil, err
	}
	return strictjson.Object(text, strictjson.Limits{MaxDepth: maxTokenDepth})
}

func text(members map[string]any, name string) string {
	s, _ := members[name].(string)
	return s
}

// texts are the strings of an array, or the one string that there is instead.
func texts(value any) (list []string) {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}

func (t *token) audience() []string { return texts(t.claims["aud"]) }

// clientID is under another name with many providers.
func (t *token) clientID() string {
	for _, name := range []string{"client_id", "azp", "appid", "cid"} {
		if id := text(t.claims, name); id != "" {
			return id
		}
	}
	return ""
}

// scopes are those of the claims that providers use, and the first claim that had any.
func (t *token) scopes() (list []string, claim string) {
	for _, name := range []string{"scope", "scp", "scopes"} {
		found := texts(t.claims[name])
		if len(found) == 1 {
			found = scopesOf(found[0])
		}
		if len(found) > 0 && claim == "" {
			claim = name
		}
		for _, s := range found {
			if !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return list, claim
}

// A holding is a place in a token that has roles, as a JSON Pointer.
type holding struct {
	pointer string
	names   []string
}

// maxHoldings bounds what is found.
const maxHoldings = 8

// roles finds roles wherever providers put them.
func (t *token) roles() (all []holding) {
	add := func(pointer string, value any) {
		names := texts(value)
		if m, ok := value.(map[string]any); ok { // ZITADEL: role names are keys
			names = slices.Sorted(maps.Keys(m))
		}
		if len(names) > 0 && len(all) < maxHoldings {
			all = append(all, holding{pointer, names})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.claims)) {
		value := t.claims[name]
		pointer := "/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
		switch low := strings.ToLower(name); {
		case low == "realm_access":
			if m, ok := value.(map[string]any); ok {
				add(pointer+"/roles", m["roles"])
			}
		case low == "resource_access":
			m, _ := value.(map[string]any)
			for _, client := range slices.Sorted(maps.Keys(m)) {
				if inner, ok := m[client].(map[string]any); ok {
					add(pointer+"/"+strings.ReplaceAll(strings.ReplaceAll(client, "~", "~0"), "/", "~1")+"/roles", inner["roles"])
				}
			}
		case low == "permissions" || strings.HasSuffix(low, "roles") || strings.HasSuffix(low, "groups"):
			add(pointer, value)
		}
	}
	return all
}

func (t *token) holdings(c *censor) string {
	var parts []string
	for _, h := range t.roles() {
		parts = append(parts, c.quote(h.pointer)+": "+c.list(h.names))
	}
	if parts == nil {
		return "no roles"
	}
	return strings.Join(parts, "; ")
}

// confirmation is a member of cnf (RFC 7800): jkt for DPoP, x5t#S256 for certificates.
func (t *token) confirmation(name string) string {
	cnf, _ := t.claims["cnf"].(map[string]any)
	return text(cnf, name)
}

// date reads a NumericDate. ok is false for one that is absent; bad is true for one that is no plausible number.
func (t *token) date(name string) (at time.Time, ok, bad bool) {
	value, present := t.claims[name]
	if !present {
		return time.Time{}, false, false
	}
	n, isNumber := value.(json.Number)
	sec, err := strconv.ParseFloat(string(n), 64)
	if !isNumber || err != nil || sec < 0 || sec > 1e11 { // beyond the year 5000 they are milliseconds
		return time.Time{}, false, true
	}
	return time.Unix(int64(sec), 0), true, false
}

// verify tries the keys that the token may be signed with. tried is how many there were.
func (t *token) verify(keys []*jwks.Key) (good bool, tried int) {
	alg, kid := text(t.header, "alg"), text(t.header, "kid")
	method := jws.MethodOf(alg)
	signature, err := jws.Decode(t.parts.Signature)
	if method == nil || err != nil {
		return false, 0
	}
	for _, k := range keys {
		if kid != "" && k.ID != "" && k.ID != kid || !k.Fits(alg) {
			continue
		}
		tried++
		if method.Verify(k, t.parts.Header+"."+t.parts.Payload, signature) {
			return true, tried
		}
	}
	return false, tried
}
