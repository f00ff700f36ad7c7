//go:build conformance && unix

package conformance

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/testissuer"
)

// Releases in ts/package.json, by revision of the protocol.
var (
	released        = suite{"conformance-released", nil}
	preview20251125 = suite{"conformance-preview", []string{"--spec-version", "2025-11-25"}}
	preview20260728 = suite{"conformance-preview", []string{"--spec-version", "2026-07-28"}}
)

// TestE2E02_TheMiddlewareChangesNoOutcome: a caller with a good token meets the server as it would be without the middleware, where it does
// well and where it fails.
func TestE2E02_TheMiddlewareChangesNoOutcome(t *testing.T) {
	server := build(t)
	is := testissuer.New(t)
	const sessions, stateless = "-stateless=false", "-stateless=true"
	rebinding := []string{"dns-rebinding-protection"}
	headers := []string{"http-header-validation", "http-custom-header-server-validation"}
	for _, tt := range []struct {
		name   string
		suite  suite
		flag   string
		ran    int      // scenarios
		passes bool     // all of them: the server is of the suite's revision and kind
		must   []string // scenarios that must be there and pass
		apart  string   // a scenario that is not compared
	}{
		{"0.1.16, sessions", released, sessions, 32, true, rebinding, ""},
		{"0.1.16, stateless", released, stateless, 32, false, rebinding, ""},
		{"0.2.0-alpha.12 for 2025-11-25, sessions", preview20251125, sessions, 33, true, rebinding, ""},
		{"0.2.0-alpha.12 for 2025-11-25, stateless", preview20251125, stateless, 33, false, rebinding, ""},
		{"0.2.0-alpha.12 for 2026-07-28, stateless", preview20260728, stateless, 40, true, append(headers, rebinding...), ""},
		// A server with sessions does not speak this revision, and says that much to a subscription without a URI. The middleware cannot tell; it
		// says that the method is gone, as the scenario asks.
		{"0.2.0-alpha.12 for 2026-07-28, sessions", preview20260728, sessions, 40, false, rebinding, "server-stateless"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bare := tt.suite.run(t, everything(t, server.bare, tt.flag))
			inside := tt.suite.run(t, withToken(t, everything(t, server.inside, tt.flag, "-issuer", is.URL), is))
			upstream := everything(t, server.bare, tt.flag)
			behind := tt.suite.run(t, withToken(t, behindProxy(t, server.proxy, upstream, is.URL), is))
			t.Log("\n" + table(bare, inside, behind))

			require.Len(t, bare.scenarios, tt.ran)
			require.Equal(t, bare.scenarios, inside.scenarios)
			require.Equal(t, bare.scenarios, behind.scenarios)
			for _, scenario := range bare.scenarios {
				for name, got := range map[string]outcome{"with the middleware inside": inside, "behind resource-server": behind} {
					if scenario != tt.apart && bare.verdict(scenario) != got.verdict(scenario) {
						t.Errorf("%s %s:\n%sinstead of:\n%s", scenario, name, got.explain(scenario), bare.explain(scenario))
					}
					if tt.passes && !got.passed(scenario) {
						t.Errorf("%s fails %s:\n%s", scenario, name, got.explain(scenario))
					}
				}
			}
			for _, scenario := range tt.must {
				require.True(t, inside.passed(scenario), "%s\n%s", scenario, inside.explain(scenario))
				require.True(t, behind.passed(scenario), "%s\n%s", scenario, behind.explain(scenario))
			}
		})
	}
}

// table has a line for each scenario and a column for each run.
func table(bare, inside, behind outcome) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "scenario\tbare\tmiddleware inside\tbehind resource-server")
	for _, s := range bare.scenarios {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s, bare.totals[s], inside.totals[s], behind.totals[s])
	}
	_ = w.Flush()
	return b.String()
}
