package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/scopes"
)

type verifyKey struct{}

const verifyDeadline = 5 * time.Second

// Verify compares the declared rules with what a server offers, and returns everything suspicious,
// joined: tools, prompts and resources without a rule, which nobody can reach; rules without a
// target, which are often misspelled; and rules that no caller can meet. The same is logged when the
// first request reaches the server. The server must be protected, and complete.
func (m *Middleware) Verify(ctx context.Context, server *mcp.Server) error {
	offered, err := m.offered(ctx, server)
	if err != nil {
		return err
	}
	var found [targets][]string
	for kind := range offered {
		for _, o := range offered[kind] {
			found[kind] = append(found[kind], o.Name)
		}
	}
	return m.compare(found)
}

// compare holds what a server offers against the rules.
func (m *Middleware) compare(offered [targets][]string) error {
	var errs []error
	x := m.rules.load()
	used := make(map[string]bool)
	for kind := range offered {
		for _, name := range offered[kind] {
			op := offer{Item: scopes.Item{Name: name}}.operation(target(kind))
			if _, reason := x.find(op); reason != "" {
				errs = append(errs, fmt.Errorf("%s %q has no rule, so nobody can reach it; declare one, or set Config.Unlisted", target(kind), name))
			}
			m.rules.mark(target(kind), name, used)
		}
	}
	m.rules.mu.Lock()
	defer m.rules.mu.Unlock()
	for kind := range m.rules.order {
		for _, d := range m.rules.all(target(kind)) {
			name, rule := d.name, d.rule
			if target(kind) != methodTarget && !used[ruleKey(target(kind), name)] {
				errs = append(errs, fmt.Errorf("the rule for %s %q has no target on this server; is the name misspelled?", target(kind), name))
			}
			if d.inFile && rule.IsZero() {
				continue // somebody wrote "never"
			}
			if why := m.unmeetable(rule); why != "" {
				errs = append(errs, fmt.Errorf("the rule %q for %s %q can be met by nobody: %s", rule, target(kind), name, why))
			}
		}
	}
	for _, login := range m.rules.loginNames() {
		if login.kind != methodTarget && !slices.ContainsFunc(offered[login.kind], login.covers) {
			errs = append(errs, fmt.Errorf("the login for %s %q has no target on this server, so it asks nobody for anything; is the name misspelled?", login.kind, login.name))
		}
	}
	for _, key := range m.limits.keys() {
		if !m.hasOperation(x, key, offered) {
			errs = append(errs, fmt.Errorf("the limit for %q has no operation on this server, so it limits nothing; is it misspelled?", key))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.audited)) {
		if !slices.Contains(offered[toolTarget], name) && !slices.Contains(offered[promptTarget], name) {
			errs = append(errs, fmt.Errorf("AuditArguments names %q, which is no tool or prompt of this server; is it misspelled?", name))
		}
	}
	return errors.Join(errs...)
}

// hasOperation reports whether a key of Limits.Operations stands for something that can be asked for.
func (m *Middleware) hasOperation(x *index, key string, offered [targets][]string) bool {
	method, name, named := strings.Cut(key, " ")
	if !named {
		if strings.HasSuffix(key, "*") {
			return true
		}
		_, reason := x.find(Operation{Method: method})
		return reason == ""
	}
	kind := targetOf(Operation{Method: method, Name: name})
	return kind == resourceTarget || slices.ContainsFunc(offered[kind], func(o string) bool { return covers(kind, name, o) })
}

// unmeetable says why no caller could ever meet a rule, or nothing.
func (m *Middleware) unmeetable(r scopes.Rule) string {
	if r.IsZero() {
		return "it is the zero Rule"
	}
	if len(r.Roles()) == 0 || r.Obtainable(scopes.NewGrant(nil, nil)) {
		return ""
	}
	if len(m.authenticators) > 0 || m.stdioOnly {
		return "" // they grant what they like
	}
	for _, in := range m.issuers {
		if in.hasRoles {
			return ""
		}
	}
	return "no issuer's Grants.RoleClaims says where roles are"
}

// mark notes which rules an item uses: its own, and every pattern that covers it.
func (t *table) mark(kind target, name string, used map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.all(kind) {
		rule := d.name
		if covers(kind, rule, name) {
			used[ruleKey(kind, rule)] = true
		}
	}
}

// covers reports whether what was declared under a name or pattern is about an item.
func covers(kind target, declared, name string) bool {
	prefix, isPrefix := strings.CutSuffix(declared, "*")
	return declared == name || isPrefix && strings.HasPrefix(name, prefix) || kind == resourceTarget && matchesTemplate(declared, name)
}

func ruleKey(kind target, name string) string { return kind.String() + " " + name }

// offered lists everything that a server has, which must be protected.
func (m *Middleware) offered(ctx context.Context, server *mcp.Server) (out [targets][]offer, err error) {
	if server == nil || protectedServers.owner(server) != m {
		return out, errors.New("mcpauth: the server is not protected; call Protect first")
	}
	if out, err = m.listAll(ctx, server); err != nil {
		return out, fmt.Errorf("mcpauth: listing what the server offers: %w", err)
	}
	return out, nil
}

// listAll asks a server for its lists by way of a connection of its own, which the guard recognizes by its context.
func (m *Middleware) listAll(ctx context.Context, server *mcp.Server) (out [targets][]offer, err error) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), verifyKey{}, m), verifyDeadline)
	defer cancel()
	near, far := mcp.NewInMemoryTransports()
	there, err := server.Connect(ctx, far, nil)
	if err != nil {
		return out, err
	}
	defer there.Close()
	client := mcp.NewClient(&mcp.Implementation{Name: "mcpauth-verify", Version: "1"}, nil)
	here, err := client.Connect(ctx, near, nil)
	if err != nil {
		return out, err
	}
	defer here.Close()
	capabilities := here.InitializeResult().Capabilities
	if capabilities.Tools != nil {
		if out[toolTarget], err = offers(here.Tools(ctx, nil), offerOfTool); err != nil {
			return out, err
		}
	}
	if capabilities.Prompts != nil {
		if out[promptTarget], err = offers(here.Prompts(ctx, nil), offerOfPrompt); err != nil {
			return out, err
		}
	}
	if capabilities.Resources != nil {
		resources, err := offers(here.Resources(ctx, nil), offerOfResource)
		if err != nil {
			return out, err
		}
		templates, err := offers(here.ResourceTemplates(ctx, nil), offerOfTemplate)
		if err != nil {
			return out, err
		}
		out[resourceTarget] = slices.Concat(resources, templates)
	}
	return out, nil
}

// offers sorts a list by name, each once.
func offers[T any](items iter.Seq2[T, error], of func(T) offer) ([]offer, error) {
	seen := make(map[string]offer)
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		o := of(item)
		seen[o.Name] = o
	}
	out := make([]offer, 0, len(seen))
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[name])
	}
	return out, nil
}

const maxVerified = 16 // servers that are verified at their first request: getServer may make one for each

// verifyOnce logs the findings of Verify when the first request has come. It asks the handlers behind the
// guard, as if that request had been a list: a connection of its own would run hooks and middleware of the
// server that rely on HTTP (Extra is nil there), and a panic on the SDK's goroutines ends the process.
func (g *guard) verifyOnce(ctx context.Context, next mcp.MethodHandler, req mcp.Request) {
	session, ok := req.GetSession().(*mcp.ServerSession)
	if !ok || g.m.verified.Add(1) > maxVerified {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyDeadline)
	defer cancel()
	var offered [targets][]string
	extra := req.GetExtra()
	offered[toolTarget] = allNames(ctx, next, toolList, "tools/list",
		&mcp.ServerRequest[*mcp.ListToolsParams]{Session: session, Params: &mcp.ListToolsParams{}, Extra: extra})
	offered[promptTarget] = allNames(ctx, next, promptList, "prompts/list",
		&mcp.ServerRequest[*mcp.ListPromptsParams]{Session: session, Params: &mcp.ListPromptsParams{}, Extra: extra})
	offered[resourceTarget] = append(allNames(ctx, next, resourceList, "resources/list",
		&mcp.ServerRequest[*mcp.ListResourcesParams]{Session: session, Params: &mcp.ListResourcesParams{}, Extra: extra}),
		allNames(ctx, next, templateList, "resources/templates/list",
			&mcp.ServerRequest[*mcp.ListResourceTemplatesParams]{Session: session, Params: &mcp.ListResourceTemplatesParams{}, Extra: extra})...)
	g.m.offers.Store(&offered)
	g.m.warnOfRules(ctx, offered)
}

// warnOfRules logs what is suspicious.
func (m *Middleware) warnOfRules(ctx context.Context, offered [targets][]string) {
	err := m.compare(offered)
	if err == nil {
		return
	}
	findings := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		findings = joined.Unwrap()
	}
	for _, finding := range findings {
		m.log.WarnContext(ctx, "mcpauth: suspicious rules", "finding", finding.Error())
	}
}

// allNames reads all pages of a list, or as many as there are before an error.
func allNames[S, T any, R interface {
	*S
	mcp.Result
}](ctx context.Context, next mcp.MethodHandler, l list[S, T, R], method string, req mcp.Request) (out []string) {
	last := ""
	for {
		res, err := next(ctx, method, req)
		r, ok := res.(R)
		if err != nil || !ok || r == nil {
			return out
		}
		page := *r
		items, cursor, _ := l.fields(&page)
		for _, item := range *items {
			out = append(out, l.name(item))
		}
		if *cursor == "" || *cursor == last || ctx.Err() != nil {
			return out
		}
		last = *cursor
		if req, ok = l.page(req, *cursor); !ok {
			return out
		}
	}
}
