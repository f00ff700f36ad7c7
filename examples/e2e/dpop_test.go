//go:build e2e && unix

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

// A holder is a client that can hold a key for its tokens.
type holder struct {
	name   string
	open   func(t *testing.T, c *boundCase, sys *system, p *person) client
	stepUp []string // the modes in which it goes for a wider token on its own
}

var holders = []holder{
	{"oauth4webapi", func(t *testing.T, c *boundCase, sys *system, p *person) client {
		nodePackage(t, "oauth4webapi", "package.json")
		return newScriptClient(t, p, "oauth4webapi.mjs", c.binding(), sys.resource)
	}, nil},
	{"TypeScript SDK 2", func(t *testing.T, c *boundCase, sys *system, p *person) client {
		return newNodeClient(t, sys, p, "v2", "auto", c.binding())
	}, []string{"optional", "required"}},
	{"Go SDK", func(t *testing.T, c *boundCase, sys *system, p *person) client {
		if c.bound {
			return newBoundGoClient(t, sys, p, c.revision())
		}
		return newGoClient(t, sys, p, c.revision())
	}, []string{"optional"}}, // v1.8.0 overlooks the error of every challenge but Bearer
}

// A boundCase is one conversation between a client, an authorization server and a resource server.
type boundCase struct {
	authority string // which authorization server
	mode      string // of the resource server
	nonces    bool   // that the servers want
	holder    holder
	bound     bool // the client holds a key
	wire      *wire
}

func (c *boundCase) String() string {
	nonces := map[bool]string{false: "", true: " with nonces"}[c.nonces]
	return fmt.Sprintf("%s, %s, DPoP %s%s, %s token", c.holder.name, c.authority, c.mode, nonces, c.binding())
}

func (c *boundCase) binding() string {
	if c.bound {
		return "dpop"
	}
	return "bearer"
}

// stateful says which resource servers keep sessions: half of them, so that both kinds are seen.
func (c *boundCase) stateful() bool { return c.authority == "authserver" }

func (c *boundCase) revision() string {
	if c.stateful() {
		return "2025-11-25"
	}
	return "2026-07-28"
}

// boundAuthorities start an authorization server for many resources.
var boundAuthorities = map[string]func(t *testing.T, nonces bool, resources []string) *process{
	"authserver": func(t *testing.T, nonces bool, resources []string) *process {
		var args []string
		if nonces {
			args = append(args, "-dpop-nonce")
		}
		for _, r := range resources {
			args = append(args, "-resource", r)
		}
		return start(t, filepath.Join(programs, "authserver"), args...)
	},
	"oidc-provider": func(t *testing.T, nonces bool, resources []string) *process {
		if nonces {
			resources = append([]string{"--dpop-nonce"}, resources...)
		}
		return startOIDCProvider(t, resources...)
	},
}

// Whoever reads along gets nothing from a token that is bound to a key, and its holder notices nothing of that. The parts are real ones: two
// authorization servers, and clients of which two share no code with this library.
func TestE2E01_DPoPInEveryMode(t *testing.T) {
	for authority, open := range boundAuthorities {
		for _, nonces := range []bool{false, true} {
			var cases []*boundCase
			var resources []string
			for _, mode := range []string{"off", "optional", "required"} {
				for _, holder := range holders {
					for _, bound := range []bool{true, false} {
						if nonces && (mode == "off" || !bound) {
							continue // there are no proofs that a nonce could be in
						}
						c := &boundCase{authority, mode, nonces, holder, bound, newWire(t)}
						cases, resources = append(cases, c), append(resources, c.wire.resource)
					}
				}
			}
			auth := open(t, nonces, resources)
			issuer, err := auth.address()
			require.NoError(t, err)
			for _, c := range cases {
				t.Run(c.String(), func(t *testing.T) {
					t.Parallel()
					c.run(t, &system{resource: c.wire.resource, issuer: issuer, auth: auth})
				})
			}
		}
	}
}

func (c *boundCase) run(t *testing.T, sys *system) {
	flags := []string{"-listen", "127.0.0.1:0", "-resource", sys.resource, "-issuer", sys.issuer, "-log", "-dpop", c.mode,
		fmt.Sprintf("-stateless=%v", !c.stateful())}
	if c.nonces {
		flags = append(flags, "-dpop-nonce")
	}
	sys.server = start(t, filepath.Join(programs, "resource-server"), flags...)
	address, err := sys.server.address()
	require.NoError(t, err)
	c.wire.leadTo(t, address)
	requireMetadata(t, c.wire, c.mode)

	ctx := within(t)
	uma := newPerson("uma", browser.Decision{Scopes: []string{"notes:read"}})
	client := c.holder.open(t, c, sys, uma)
	var reasons []string
	switch {
	case c.bound && c.mode != "off":
		reasons = c.requireBoundCalls(ctx, t, client, uma)
	case !c.bound && c.mode != "required":
		reasons = c.requireBearerCalls(ctx, t, client)
	default:
		reasons = c.requireRefused(ctx, t, client)
	}
	c.requireLog(t, sys, reasons)
}

// requireBoundCalls goes through a whole conversation with a bound token.
func (c *boundCase) requireBoundCalls(ctx context.Context, t *testing.T, client client, p *person) (reasons []string) {
	revision, session, err := client.connect(ctx)
	require.NoError(t, err)
	if c.holder.name != "oauth4webapi" { // which knows the older one only
		require.Equal(t, c.revision(), revision)
	}
	require.Equal(t, c.stateful(), session != "")
	requireWhoami(t, client, "uma", "notes:read")
	reasons = requireThievesGetNothing(t, c.wire, c.mode)
	requireWhoami(t, client, "uma", "notes:read")

	note := map[string]any{"text": "Nobody else can write this."}
	stepsUp := slices.Contains(c.holder.stepUp, c.mode)
	if stepsUp {
		requireCall(t, client, "write_note", note, "Noted.")
		requireWhoami(t, client, "uma", "notes:read", "notes:write")
		requireThievesGetNothing(t, c.wire, c.mode)
	} else {
		_, err := client.call(ctx, "write_note", note)
		require.Error(t, err)
	}
	require.Len(t, p.requests(), map[bool]int{false: 1, true: 2}[stepsUp])
	require.NoError(t, client.close(ctx))
	c.requireProofs(t, client)
	return append(reasons, "insufficient_scope")
}

// requireProofs checks what a client that holds a key has sent and received in a conversation that took place.
func (c *boundCase) requireProofs(t *testing.T, client client) {
	t.Helper()
	passages := c.wire.passages()
	require.NotContains(t, passages[0].sent, "Authorization")
	require.Equal(t, http.StatusUnauthorized, passages[0].status)
	requireChallenges(t, c.wire, c.mode, passages[0], "")
	used := map[string]bool{}
	accepted := map[string]int{} // by method
	refused := map[int]int{}     // by status
	for _, p := range passages[1:] {
		scheme, token := p.credentials()
		require.Equal(t, "DPoP", scheme, p)
		made := p.proof(t)
		require.Equal(t, "dpop+jwt", made.Typ)
		require.Equal(t, "ES256", made.Alg)
		require.Equal(t, p.method, made.HTM)
		require.Equal(t, c.wire.resource, made.HTU)
		ath := sha256.Sum256([]byte(token))
		require.Equal(t, base64.RawURLEncoding.EncodeToString(ath[:]), made.ATH)
		require.False(t, used[made.JTI], "two requests with one proof")
		used[made.JTI] = true
		switch p.status {
		case http.StatusUnauthorized: // W5
			require.Empty(t, made.Nonce)
			require.Len(t, p.answer["Dpop-Nonce"], 1)
			require.Equal(t, "no-store", p.answer.Get("Cache-Control"))
			requireChallenges(t, c.wire, "required", p, "use_dpop_nonce", "DPoP")
		case http.StatusForbidden:
			require.Equal(t, c.nonces, made.Nonce != "", p)
			requireChallenges(t, c.wire, c.mode, p, "insufficient_scope", "Bearer", "DPoP")
		default:
			require.Equal(t, c.nonces, made.Nonce != "", p)
		}
		if p.status < 300 {
			accepted[p.method]++
		} else {
			refused[p.status]++
		}
	}
	once := map[bool]int{false: 0, true: 1}
	require.Equal(t, once[c.nonces], refused[http.StatusUnauthorized], "only the first request is repeated, for a nonce: %v", passages)
	require.NotZero(t, refused[http.StatusForbidden])
	require.NotZero(t, accepted[http.MethodPost])
	if c.stateful() {
		require.NotZero(t, accepted[http.MethodGet], "the stream of the session: %v", passages)
		require.NotZero(t, accepted[http.MethodDelete], "the end of the session: %v", passages)
	}
	repeated := slices.DeleteFunc(client.exchanges(), func(e exchange) bool { return e.Path != pathToken || e.Status == http.StatusOK })
	require.Len(t, repeated, once[c.nonces], "token requests that are repeated, for a nonce")
}

// requireBearerCalls is a client without a key where it needs none.
func (c *boundCase) requireBearerCalls(ctx context.Context, t *testing.T, client client) (reasons []string) {
	_, _, err := client.connect(ctx)
	require.NoError(t, err)
	requireWhoami(t, client, "uma", "notes:read")
	th := newThief(t, c.wire, http.StatusOK)
	if c.mode == "optional" {
		p := th.send(t, "DPoP", th.forge(""))
		require.Equal(t, http.StatusUnauthorized, p.status, "DPOP-11 a token that is not bound, under the other scheme")
		requireChallenges(t, c.wire, c.mode, p, "invalid_token", "DPoP")
		reasons = append(reasons, "token_not_bound")
	}
	require.Equal(t, http.StatusOK, th.send(t, "Bearer", th.forge("")).status, "DPOP-22 a proof that nobody asked for")
	require.NoError(t, client.close(ctx))

	passages := c.wire.passages()
	requireChallenges(t, c.wire, c.mode, passages[0], "")
	for _, p := range passages[1:] {
		scheme, _ := p.credentials()
		require.Equal(t, "Bearer", scheme, p)
		require.NotContains(t, p.sent, "Dpop")
		require.NotContains(t, p.answer, "Dpop-Nonce")
		require.True(t, p.status < 300 || p.status == http.StatusMethodNotAllowed, p)
	}
	return reasons
}

// requireRefused is a client whose tokens are of the wrong kind, which no authorization mends: bound ones where DPoP is off (TOK-18), others where it
// is required (DPOP-12).
func (c *boundCase) requireRefused(ctx context.Context, t *testing.T, client client) (reasons []string) {
	_, _, err := client.connect(ctx)
	require.Error(t, err)
	passages := c.wire.passages()
	require.Greater(t, len(passages), 1, "it tried")
	th := newThief(t, c.wire, http.StatusUnauthorized)
	passages = append(passages, th.send(t, "Bearer", ""), th.send(t, "Bearer", th.forge("")))
	for _, p := range passages {
		require.Equal(t, http.StatusUnauthorized, p.status)
		if scheme, _ := p.credentials(); scheme == "Bearer" {
			requireChallenges(t, c.wire, c.mode, p, "invalid_token", "Bearer", "DPoP")
		} else { // none, or one that is unknown where DPoP is off
			requireChallenges(t, c.wire, c.mode, p, "")
		}
	}
	if c.mode == "off" {
		return []string{"scheme_unsupported", "token_bound"}
	}
	return []string{"dpop_required"}
}

// requireLog checks that the log of the resource server gives the reasons, and no token or proof.
func (c *boundCase) requireLog(t *testing.T, sys *system, reasons []string) {
	t.Helper()
	events, raw := sys.decisions(t)
	var given []string
	for _, d := range events {
		given = append(given, d.Reason)
	}
	require.Subset(t, given, reasons)
	for _, p := range c.wire.passages() {
		_, token := p.credentials()
		for _, secret := range []string{token, p.sent.Get("Dpop")} {
			for _, part := range strings.Split(secret, ".")[min(1, strings.Count(secret, ".")):] { // all headers are alike
				if part != "" {
					require.NotContains(t, raw, part)
				}
			}
		}
	}
}

// offered are the schemes of a mode, in order.
var offered = map[string][]string{"off": {"Bearer"}, "optional": {"Bearer", "DPoP"}, "required": {"DPoP"}}

const proofAlgorithms = "ES256 ES384 PS256 RS256 EdDSA"

// requireChallenges checks that an answer has a line for each scheme of the mode, and the error, if any, on those to blame only.
func requireChallenges(t *testing.T, w *wire, mode string, p passage, code string, blamed ...string) {
	t.Helper()
	var schemes []string
	for _, c := range p.challenges(t) {
		schemes = append(schemes, c.scheme)
		if code != "" && slices.Contains(blamed, c.scheme) {
			require.Equal(t, code, c.parameters["error"], p)
			require.NotEmpty(t, c.parameters["error_description"], p)
		} else {
			require.NotContains(t, c.parameters, "error", p)
			require.NotContains(t, c.parameters, "error_description", p)
		}
		if c.scheme == "DPoP" {
			require.Equal(t, proofAlgorithms, c.parameters["algs"])
		} else {
			require.NotContains(t, c.parameters, "algs")
		}
		require.Equal(t, w.metadata(), c.parameters["resource_metadata"])
	}
	require.Equal(t, offered[mode], schemes, p)
}

// requireMetadata checks that the metadata says what is enforced (PRM-07 to PRM-09).
func requireMetadata(t *testing.T, w *wire, mode string) {
	t.Helper()
	res, err := http.Get(w.metadata())
	require.NoError(t, err)
	defer res.Body.Close()
	var got struct {
		Methods    []string `json:"bearer_methods_supported"`
		Algorithms []string `json:"dpop_signing_alg_values_supported"`
		Required   *bool    `json:"dpop_bound_access_tokens_required"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&got))
	require.Equal(t, mode != "required", slices.Equal(got.Methods, []string{"header"}))
	if mode == "off" {
		require.Nil(t, got.Algorithms)
		require.Nil(t, got.Required)
		return
	}
	require.Equal(t, proofAlgorithms, strings.Join(got.Algorithms, " "))
	require.NotNil(t, got.Required)
	require.Equal(t, mode == "required", *got.Required)
}
