package doctor

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

// A visit is one examination. What a step learns, later ones use.
type visit struct {
	censor
	opt      Options
	client   *http.Client
	report   *Report
	loopback bool // the server is on this computer, so it may name others there
	step     step

	dead bool // nothing more can be asked of the MCP URL

	probes    map[string]*answer // the requests without credentials, by name
	badToken  *answer
	challenge reading // of the first POST
	document  *document
	servers   []*server
	token     *token // nil without one
	outcome   outcome
}

// A step is one look at one thing. It adds at least one finding.
type step struct {
	name, title string
	run         func(*visit, context.Context)
}

// steps are those of a client, in its order.
var steps = []step{
	{"connect", "First POST, without a token", (*visit).connect},
	{"methods", "GET, DELETE and server/discover, without a token", (*visit).methods},
	{"bad-token", "POST with a token that cannot be good", (*visit).stranger},
	{"challenge", "WWW-Authenticate, as clients read it", (*visit).readChallenge},
	{"metadata", "Resource metadata: by header, path and root", (*visit).fetchMetadata},
	{"resource", "resource of the metadata against the URL", (*visit).compareResource},
	{"signature", "Signature of the metadata", (*visit).judgeSignature},
	{"languages", "Languages of the metadata", (*visit).judgeLanguages},
	{"authorization-servers", "authorization_servers of the metadata", (*visit).listServers},
	{"scopes", "Scopes that clients ask for", (*visit).judgeScopes},
	{"cors", "What a page in a browser may read", (*visit).crossOrigin},
	{"as-metadata", "Metadata of the authorization server", (*visit).fetchServers},
	{"as-issuer", "issuer of the authorization server", (*visit).compareIssuers},
	{"as-pkce", "PKCE", (*visit).judgePKCE},
	{"as-registration", "How a client becomes known", (*visit).judgeRegistration},
	{"as-resource", "The resource parameter", (*visit).judgeResourceParameter},
	{"as-redirect", "The redirect URI", (*visit).judgeRedirect},
	{"keys", "Keys and algorithms", (*visit).judgeKeys},
	{"clock", "Clocks", (*visit).judgeClocks},
	{"dpop", "DPoP", (*visit).judgeDPoP},
	{"token", "The token against what is published", (*visit).judgeToken},
	{"call", "Calls with the token", (*visit).judgeCalls},
}

// Run examines a server the way clients come upon it. The error is for Options that cannot be used, and says nothing about the
// server: whatever goes wrong there is a finding. When ctx ends, the report
// has a failure that says so, and the steps that are left are skipped.
//
// It reads, and changes nothing: initialize, tools/list and server/discover, and tools/call only for Options.Call. A session that
// the server opens for it is closed.
func Run(ctx context.Context, opt Options) (*Report, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	v := &visit{
		opt: opt, client: newClient(opt.HTTPClient), loopback: fetch.Loopback(opt.URL), probes: map[string]*answer{},
		report: &Report{URL: shownURL(opt.URL), Time: opt.Now()},
	}
	v.hide(opt.Token)
	if _, query, ok := strings.Cut(opt.URL, "?"); ok {
		v.hide(query)
	}
	if opt.Token != "" {
		v.token = decode(opt.Token)
	}
	defer v.client.CloseIdleConnections()
	late := false // so that a script does not take half an examination for a good one
	for _, s := range steps {
		v.step = s
		if ctx.Err() != nil {
			if !late {
				late = true
				v.add(Finding{Status: Fail, Cause: "time-is-up", Got: "the time is up, or the examination was ended", Cure: "allow more time, or see why the servers answer so slowly"})
			} else {
				v.skip("the time is up")
			}
			continue
		}
		if opt.Progress != nil {
			opt.Progress(s.title)
		}
		s.run(v, ctx)
	}
	return v.report, nil
}

// add records a finding of the present step: bounded, without secrets, and judged for the chosen clients.
func (v *visit) add(f Finding) {
	if f.Step == "" {
		f.Step = v.step.name
	}
	if f.Title == "" {
		f.Title = v.step.title
	}
	v.report.add(f, &v.censor, v.opt.Clients)
}

func (r *Report) add(f Finding, c *censor, chosen []string) {
	if len(chosen) > 0 && len(f.Clients) > 0 {
		f.Clients = slices.DeleteFunc(slices.Clone(f.Clients), func(name string) bool { return !slices.Contains(chosen, name) })
		if len(f.Clients) == 0 && f.Status == Fail {
			f.Status, f.Clients = Warn, nil // it troubles others only
		}
	}
	f.Got, f.Cure = c.text(f.Got), c.text(f.Cure)
	r.Findings = append(r.Findings, f)
}

func (v *visit) pass(got string) { v.add(Finding{Status: Pass, Got: got}) }
func (v *visit) skip(why string) { v.add(Finding{Status: Skip, Got: why}) }

// found reports whether the present step has said anything yet that is no pass.
func (v *visit) found() bool {
	return slices.ContainsFunc(v.report.Findings, func(f Finding) bool { return f.Step == v.step.name && f.Status != Pass })
}
