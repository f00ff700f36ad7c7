package mcpauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/go-mcpauth/sdk/internal/policyfile"
	"github.com/go-mcpauth/sdk/scopes"
)

//go:embed policy.schema.json
var policySchema []byte

// PolicySchema returns the JSON Schema (2020-12) of policy files, for editors and for checks before a file is
// deployed. What LoadPolicy refuses besides is what a schema cannot say: the syntax of rules, and names that
// clash.
func PolicySchema() []byte { return bytes.Clone(policySchema) }

// A PolicyError is one mistake in a policy file.
type PolicyError struct {
	Line, Column int    // from 1; columns count bytes
	Path         string // the members that lead there, such as tools.delete_file
	Msg          string // what is wrong, and what to write instead
}

// Error says where and what.
func (e *PolicyError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
	}
	return fmt.Sprintf("line %d, column %d: %s: %s", e.Line, e.Column, e.Path, e.Msg)
}

// LoadPolicy puts rules from JSON beside those that the program declares, in place of an earlier file's, while
// requests go on: each request is decided by all of the old rules or all of the new ones. If there is any
// mistake, nothing changes, and the error joins a [*PolicyError] for each.
//
//	{
//	  "version": 1,
//	  "scopes":  {"files:read": {"title": "Read files"}, "files:write": {"implies": ["files:read"]}},
//	  "roles":   {"admin": {"implies": ["editor"]}, "editor": {"scopes": ["files:write"]}},
//	  "clients": {"https://app.example/client": {"scopes": ["files:read"]}, "*": {}},
//	  "tools":   {"read_file": "files:read", "wire_*": {"rule": "role(admin)", "login": {"acr": ["mfa"], "maxAge": 300}}},
//	  "resources": {"notes://{id}": "files:read"}
//	}
//
// "tools", "prompts", "resources" and "methods" hold rules, in the syntax of [scopes.Parse], for names as
// [Middleware.RequireTool] and its kin take them. What the program has declared stays as it is: a name that both rule
// is a mistake, whichever comes second, and where a pattern or another spelling of the one matches a name of the
// other, both rules must be met.
//
// "scopes" and "roles" say what each of them stands for, for callers with any kind of credentials, and on top of
// Issuer.Grants; where one of these members is present, every scope or role that the file names must be in it.
// "clients" is [Config].Clients, and the entries of both count. "annotated" is for [Middleware.RequireAnnotated].
// [PolicySchema] has the whole format.
//
// Once requests have come, what [Middleware.Verify] finds suspicious is logged again with each file. A token that is
// remembered is judged by the new file from its next request on; streams that are open go on.
func (m *Middleware) LoadPolicy(data []byte) error {
	if mistakes := m.putPolicy(data); mistakes != nil {
		return fmt.Errorf("mcpauth: the policy has mistakes: %w", mistakes)
	}
	return nil
}

// putPolicy puts a policy in force, or returns its mistakes, joined.
func (m *Middleware) putPolicy(data []byte) error {
	file, mistakes := policyfile.Parse(data)
	if len(mistakes) == 0 {
		mistakes = m.checkPolicy(file)
	}
	if len(mistakes) == 0 {
		mistakes = m.rules.replace(file)
	}
	if len(mistakes) == 0 {
		if offered := m.offers.Load(); offered != nil {
			m.warnOfRules(context.Background(), *offered) // what Verify would say, as at the first request
		}
		return nil
	}
	slices.SortStableFunc(mistakes, func(a, b *policyfile.Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	mistakes = mistakes[:min(len(mistakes), maxMistakes)]
	errs := make([]error, len(mistakes))
	for i, e := range mistakes {
		errs[i] = &PolicyError{Line: e.Line, Column: e.Column, Path: e.Path, Msg: e.Msg}
	}
	return errors.Join(errs...)
}

// LoadPolicyFile is [Middleware.LoadPolicy] for a file. A file that is longer than 4 MiB, or is no regular one, is an error.
func (m *Middleware) LoadPolicyFile(path string) error {
	_, err := m.loadPolicyFile(path)
	return err
}

// loadPolicyFile returns the hash of the rules that are in force then.
func (m *Middleware) loadPolicyFile(path string) (sum [sha256.Size]byte, err error) {
	data, err := readPolicy(path)
	if err != nil {
		return sum, fmt.Errorf("mcpauth: %w", err) // which names the file
	}
	if mistakes := m.putPolicy(data); mistakes != nil {
		return sum, fmt.Errorf("mcpauth: %s: the policy has mistakes: %w", path, mistakes)
	}
	return sha256.Sum256(data), nil
}

// readPolicy reads no more than a policy may have.
func readPolicy(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path) // opening a pipe would wait for somebody to write
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, policyfile.MaxSize+1))
}

// WatchPolicyFile loads a file, and again whenever its content is another one, which it looks for once in each
// interval, until ctx ends. It returns the error of the first load at once, so that a server does not
// start with rules that nobody has read; after that it returns only when ctx has ended, with its error, so give
// it a goroutine:
//
//	if err := auth.LoadPolicyFile(path); err != nil { ... }
//	go auth.WatchPolicyFile(ctx, path, 5*time.Second)
//
// Put a new file in the place of the old one by renaming it, so that nobody reads one that is half written. A file
// that is gone or has mistakes leaves the rules as they are, and each such content is reported once, in
// the log at level ERROR. An interval of less than a second counts as one.
func (m *Middleware) WatchPolicyFile(ctx context.Context, path string, interval time.Duration) error {
	last, err := m.loadPolicyFile(path)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(max(interval, time.Second))
	defer ticker.Stop()
	trouble := "" // that was reported last
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		data, err := readPolicy(path)
		sum := sha256.Sum256(data)
		if err == nil && sum == last {
			trouble = ""
			continue
		}
		if err == nil {
			last = sum // its mistakes do not go away by looking again
			if err = m.putPolicy(data); err == nil {
				trouble = ""
				m.log.InfoContext(ctx, "mcpauth: the policy was loaded anew", "file", path, "policy_sha256", fmt.Sprintf("%x", sum))
				continue
			}
		}
		if text := err.Error(); text != trouble {
			trouble = text
			m.log.ErrorContext(ctx, "mcpauth: the policy could not be loaded; the earlier one stays in force", "file", path, "error", text)
		}
	}
}

const maxMistakes = 50 // that an error names

// A filePolicy is a file in the form in which it takes part in decisions. It is never changed.
type filePolicy struct {
	declared  [targets]map[string]scopes.Rule
	order     [targets][]string
	logins    [targets]map[string][]Login
	clients   map[string]ClientLimit
	hierarchy *scopes.Mapping            // nil: none
	annotated map[annotation]scopes.Rule // those of which it says something, if only "never"
	sum       string                     // of the text, for the log: it is how an operator sees whether replicas have the same file
	scopes    []scopes.Description
	roles     []scopes.Description
}

var kindTargets = [policyfile.Kinds]target{
	policyfile.Methods: methodTarget, policyfile.Tools: toolTarget, policyfile.Prompts: promptTarget, policyfile.Resources: resourceTarget,
}

// checkPolicy finds what is wrong with a file by itself, on this server.
func (m *Middleware) checkPolicy(file *policyfile.File) (out []*policyfile.Error) {
	for kind, rules := range file.Rules {
		for _, r := range rules {
			if err := checkName(kindTargets[kind], r.Name); err != nil {
				out = append(out, r.Mistake(policyfile.Kind(kind), policyfile.Text(err.Error())))
			}
		}
	}
	for _, c := range file.Clients {
		var errs mistakes
		m.checkClient(c.ID, ClientLimit{Issuers: c.Issuers, Scopes: c.Scopes, Roles: c.Roles, Unlimited: c.Unlimited}, "", &errs)
		for _, err := range errs {
			out = append(out, &policyfile.Error{Position: c.At, Path: "clients." + policyfile.Shown(c.ID), Msg: policyfile.Text(err.Error())})
		}
	}
	if file.HasClients && len(m.issuers) == 0 {
		out = append(out, &policyfile.Error{Position: policyfile.Position{Line: 1, Column: 1}, Path: "clients", Msg: "it is about the tokens of Issuers, and there are none"})
	}
	return out
}

// compilePolicy is for a file without mistakes.
func compilePolicy(file *policyfile.File) *filePolicy {
	out := &filePolicy{sum: file.Sum}
	for kind, rules := range file.Rules {
		t := kindTargets[kind]
		out.declared[t] = make(map[string]scopes.Rule, len(rules))
		out.logins[t] = make(map[string][]Login)
		for _, r := range rules {
			out.declared[t][r.Name] = r.Rule
			out.order[t] = append(out.order[t], r.Name)
			if r.Login != nil {
				out.logins[t][r.Name] = []Login{{ACRValues: r.Login.ACR, MaxAge: r.Login.MaxAge}}
			}
		}
	}
	if file.HasClients {
		out.clients = make(map[string]ClientLimit, len(file.Clients))
		for _, c := range file.Clients {
			out.clients[c.ID] = ClientLimit{Issuers: c.Issuers, Scopes: c.Scopes, Roles: c.Roles, Unlimited: c.Unlimited}
		}
	}
	mapper := scopes.Mapper{ScopeClaims: []string{}, ScopeImplies: map[string][]string{}, RoleImplies: map[string][]string{}, RoleScopes: map[string][]string{}}
	implied := false
	for _, s := range file.Scopes {
		out.scopes = append(out.scopes, scopes.Description{Name: s.Name, Title: s.Title, Description: s.Description})
		mapper.ScopeImplies[s.Name] = s.Implies
		implied = implied || len(s.Implies) > 0
	}
	for _, r := range file.Roles {
		out.roles = append(out.roles, scopes.Description{Name: r.Name, Title: r.Title, Description: r.Description})
		mapper.RoleImplies[r.Name], mapper.RoleScopes[r.Name] = r.Implies, r.Scopes
		implied = implied || len(r.Implies)+len(r.Scopes) > 0
	}
	if implied {
		out.hierarchy, _ = mapper.Compile() // its names have been checked
	}
	out.annotated = make(map[annotation]scopes.Rule)
	for says, rule := range map[annotation]*scopes.Rule{
		readOnly: file.Annotated.ReadOnly, destructive: file.Annotated.Destructive, other: file.Annotated.Other,
	} {
		if rule != nil {
			out.annotated[says] = *rule
		}
	}
	return out
}
