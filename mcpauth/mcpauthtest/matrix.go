package mcpauthtest

import (
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
	"github.com/go-mcpauth/sdk/scopes"
)

// A Caller is a column of a [Matrix]. [Issuer.Caller] makes one from claims, which is how hierarchies and
// roles of the issuer count; [mcpauth.NewPrincipal] makes a Principal of any other kind.
type Caller struct {
	Name      string // of the column, such as "editor"
	Principal *mcpauth.Principal
}

// Matrix returns a table of who may do what: a line for each tool, prompt, resource and template of the
// server, a column for each caller. In a cell stands
//
//	yes      the call is allowed
//	step-up  more scopes would allow it, and the client is told which
//	sign-in  a stronger or more recent sign-in would
//	no       refused for good, and yet in the caller's lists
//	hidden   refused for good, and not in the caller's lists
//
// and parentheses around a yes, step-up or sign-in that is not in the caller's lists. The decisions are
// those of [mcpauth.Middleware.Check] without arguments, and of [mcpauth.Middleware.Shows], policies
// included, at the time of Config.Now. There is no address and no header, so conditions on these refuse.
// Nothing is called, and no limit of Config.Limits is used up. Guests of Config.Guests and whoever cannot step
// up, such as the holder of an API key, are beyond it: test those with a [Client].
//
// The test ends if the server is not protected, or a policy cannot tell.
func Matrix(t testing.TB, auth *mcpauth.Middleware, server *mcp.Server, callers ...Caller) string {
	t.Helper()
	for _, c := range callers {
		if c.Principal.ID() == "" {
			t.Fatalf("mcpauthtest: the caller %q is nobody: make it with Issuer.Caller or mcpauth.NewPrincipal", c.Name)
		}
	}
	catalog, err := auth.Catalog(t.Context(), server)
	if err != nil {
		t.Fatalf("mcpauthtest: Matrix: %v", err)
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	write := func(first string, cell func(Caller) string) {
		line := first
		for _, c := range callers {
			line += "\t" + cell(c)
		}
		_, _ = w.Write([]byte(line + "\n")) // to memory
	}
	write("", func(c Caller) string { return c.Name })
	for _, item := range catalog.Items {
		op := mcpauth.Operation{Method: methods[item.Kind], Name: item.Name}
		write(strings.ReplaceAll(string(item.Kind), "_", " ")+" "+item.Name, func(c Caller) string { return decided(t, auth, c, op) })
	}
	_ = w.Flush()
	lines := strings.Split(table.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

var methods = map[scopes.Kind]string{
	scopes.Tool: "tools/call", scopes.Prompt: "prompts/get", scopes.Resource: "resources/read", scopes.ResourceTemplate: "resources/read",
}

// decided is one cell.
func decided(t testing.TB, auth *mcpauth.Middleware, c Caller, op mcpauth.Operation) string {
	t.Helper()
	call := &mcpauth.Call{Principal: c.Principal, Operation: op}
	shown := auth.Shows(t.Context(), call)
	cell := ""
	var refusal *mcpauth.Error
	switch err := auth.Check(t.Context(), call); {
	case err == nil:
		cell = "yes"
	case !errors.As(err, &refusal) || refusal.Status == http.StatusServiceUnavailable:
		t.Fatalf("mcpauthtest: Matrix: nobody can tell whether %q may %s: %v", c.Name, op, err)
	case refusal.Code == "insufficient_scope":
		cell = "step-up"
	case refusal.Login != nil || refusal.Status == http.StatusUnauthorized:
		cell = "sign-in"
	case shown:
		return "no"
	default:
		return "hidden"
	}
	if !shown {
		return "(" + cell + ")"
	}
	return cell
}

// CheckMatrix compares a [Matrix] with a file that is kept with the tests, so that a change of who may do what
// is seen in review. The golden file is a path from the test's folder, such as "testdata/matrix.txt".
//
// It writes the file instead where the test was run with -update, by a flag that the test declares itself:
//
//	var _ = flag.Bool("update", false, "rewrite golden files")
func CheckMatrix(t testing.TB, golden string, auth *mcpauth.Middleware, server *mcp.Server, callers ...Caller) {
	t.Helper()
	got := Matrix(t, auth, server, callers...)
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		err := os.MkdirAll(filepath.Dir(golden), 0o777)
		if err == nil {
			err = os.WriteFile(golden, []byte(got), 0o666)
		}
		if err != nil {
			t.Fatalf("mcpauthtest: CheckMatrix: %v", err)
		}
		return
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("mcpauthtest: CheckMatrix: %v; run the test with -update (see CheckMatrix) to write it. It would hold:\n%s", err, got)
	}
	want := strings.ReplaceAll(string(text), "\r\n", "\n")
	if got != want {
		t.Errorf("who may do what has changed from %s; if that is meant, run the test with -update (see CheckMatrix):\n%s", golden, difference(want, got))
	}
}

// difference shows the lines of each text that the other one does not have, under the heads of both.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out strings.Builder
	only := func(sign string, lines, others []string) {
		has := make(map[string]bool)
		for _, line := range others {
			has[line] = true
		}
		for i, line := range lines {
			if i == 0 || !has[line] {
				out.WriteString(sign + " " + line + "\n")
			}
		}
	}
	only("-", a, b)
	only("+", b, a)
	return out.String()
}

// RequireRules ends the test if a tool, prompt or resource of the server has no rule, so that nobody can reach
// it, if a rule has no target, so that it is probably misspelled, or if nobody can meet a rule: see
// [mcpauth.Middleware.Verify]. It also ends the test if a [policy.For] in the conditions is about none of the
// server's tools and prompts: see [policy.Condition.Verify]. The server must be protected and complete.
func RequireRules(t testing.TB, auth *mcpauth.Middleware, server *mcp.Server, conditions ...policy.Condition) {
	t.Helper()
	findings := each(auth.Verify(t.Context(), server))
	if len(conditions) > 0 {
		catalog, err := auth.Catalog(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		findings = append(findings, each(policy.And(conditions...).Verify(catalog))...)
	}
	if len(findings) == 0 {
		return
	}
	var list strings.Builder
	for _, finding := range findings {
		list.WriteString("\n\t" + finding.Error())
	}
	t.Fatalf("rules and server do not fit:%s", list.String())
}

// each is what an error joins.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
