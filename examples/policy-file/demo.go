package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/mcpauth"
)

const (
	scopeRead = "files:read"
	allScopes = "files:read files:write logs:read"
	console   = "console"
	assistant = "assistant"
)

var roles = []string{"admin", "developer", "user", "read-only"}

// token is one of a user who has a role, by way of an application, with every scope. Claims are added, or take the place of others.
func (w *workshop) token(role, client string, life time.Duration, claims map[string]any) (string, error) {
	all := map[string]any{"client_id": client, "scope": allScopes, "roles": []string{role}}
	for name, value := range claims {
		all[name] = value
	}
	return w.issuer.Token(w.resource, "the-"+role, life, all)
}

// byRole are the columns of the ladder, byClient those of one admin with several applications.
func (w *workshop) byRole() (out []column, err error) {
	for _, role := range roles {
		token, err := w.token(role, console, time.Minute, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, column{role, token})
	}
	return out, nil
}

func (w *workshop) byClient() (out []column, err error) {
	for _, client := range []string{console, assistant, "some-app"} {
		token, err := w.token("admin", client, time.Minute, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, column{client, token})
	}
	return out, nil
}

func (w *workshop) show(ctx context.Context, client *demo.Client, columns []column, err error) error {
	if err != nil {
		return err
	}
	rows, err := w.matrix(ctx, columns)
	if err != nil {
		return err
	}
	return printMatrix(client.Out, columns, rows)
}

// The edits. Each is a text of policy.json, and what takes its place.
var (
	logsForUsers = [2]string{`"read_logs": "role(developer) and logs:read"`, `"read_logs": "role(user) and logs:read"`}
	misspelled   = [2]string{`"settings_*": "role(admin)"`, `"settings_*": "role(admn)"`}
	unfinished   = [2]string{`"dev_*": "role(developer) and files:write"`, `"dev_*": "role(developer) and"`}
)

// edited is the policy with changes.
func edited(changes ...[2]string) (string, error) {
	out := policy
	for _, c := range changes {
		if strings.Count(out, c[0]) != 1 {
			return "", fmt.Errorf("policy.json holds %s %d times, so it cannot be edited there", c[0], strings.Count(out, c[0]))
		}
		out = strings.Replace(out, c[0], c[1], 1)
	}
	return out, nil
}

func (w *workshop) demonstrate(ctx context.Context, out io.Writer) error {
	client := &demo.Client{Out: out, Resource: w.resource, Log: &w.log}

	client.Step("What the policy says in words, for consent pages and administrators")
	catalog, err := w.auth.Catalog(ctx, w.server)
	if err != nil {
		return err
	}
	for _, r := range catalog.RoleNames {
		client.Note("role %-12s %s: %s", r.Name, r.Title, r.Description)
	}
	for _, s := range catalog.ScopeNames {
		client.Note("scope %-11s %s: %s", s.Name, s.Title, s.Description)
	}

	client.Step("Who may do what, by role: each cell is a call with every scope, from the console")
	columns, err := w.byRole()
	if err := w.show(ctx, client, columns, err); err != nil {
		return err
	}

	client.Step("What Read-only and User see: lists hide what no scope would open")
	for _, c := range columns[2:] {
		want := []string{"read_file", "search", "whoami"}
		if c.title == "user" {
			want = []string{"format_file", "read_file", "search", "whoami", "write_file"}
		}
		if err := client.List(ctx, demo.Bearer(c.token), want...); err != nil {
			return err
		}
	}

	client.Step("What an admin may do, by application")
	columns, err = w.byClient()
	if err := w.show(ctx, client, columns, err); err != nil {
		return err
	}
	if err := w.signIn(ctx, client); err != nil {
		return err
	}
	if err := w.edit(ctx, client); err != nil {
		return err
	}
	client.Done("rules are data: a change needs no release, a mistake no emergency.")
	return nil
}

// signIn calls the dangerous tool before and after a fresh sign-in with a second factor.
func (w *workshop) signIn(ctx context.Context, client *demo.Client) error {
	client.Step("The dangerous tool: an admin has to sign in again, with a second factor, and then has five minutes")
	fresh := func(role string, ago time.Duration) (demo.Credentials, error) {
		token, err := w.token(role, console, time.Minute, map[string]any{"acr": "urn:example:mfa", "auth_time": time.Now().Add(-ago).Unix()})
		return demo.Bearer(token), err
	}
	again := demo.Want{Status: 401, Reason: mcpauth.ReasonLogin, Challenge: `acr_values="urn:example:mfa", max_age="300"`}
	for _, c := range []struct {
		role string
		ago  time.Duration
		want demo.Want
	}{
		{"admin", time.Hour, again}, {"admin", time.Minute, demo.Want{Text: "done"}}, {"developer", time.Minute, demo.Want{Status: 403, Reason: mcpauth.ReasonRole}},
	} {
		client.Note("%s, who signed in %v ago", c.role, c.ago)
		who, err := fresh(c.role, c.ago)
		if err != nil {
			return err
		}
		if err := client.Call(ctx, who, "wipe_disk", nil, c.want); err != nil {
			return err
		}
	}

	client.Step("A scope that the token lacks: the challenge names what one sign-in has to ask for")
	token, err := w.token("user", console, time.Minute, map[string]any{"scope": scopeRead})
	if err != nil {
		return err
	}
	return client.Call(ctx, demo.Bearer(token), "write_file", nil, demo.Want{Status: 403, Reason: mcpauth.ReasonInsufficientScope, Challenge: `scope="files:read files:write"`})
}

// edit changes the file while the server runs. One token goes through it all.
func (w *workshop) edit(ctx context.Context, client *demo.Client) error {
	reports := w.reports.open()
	// save writes the policy with changes, and waits until the server says what it makes of it.
	save := func(level slog.Level, changes ...[2]string) error {
		text, err := edited(changes...)
		if err != nil {
			return err
		}
		if err := w.write(text); err != nil {
			return err
		}
		select {
		case record := <-reports:
			client.Note("the server logs: %s", record.Message)
			record.Attrs(func(a slog.Attr) bool {
				if a.Key == "error" {
					for line := range strings.Lines(a.Value.String()) {
						client.Note("  %s", strings.TrimSpace(line))
					}
				}
				return true
			})
			if record.Level != level {
				return fmt.Errorf("the policy should have been reported at level %v, not %v", level, record.Level)
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("the server has not noticed the new policy: %w", ctx.Err())
		}
	}
	token, err := w.token("user", console, time.Minute, nil)
	if err != nil {
		return err
	}
	readLogs := func(want demo.Want) error { return client.Call(ctx, demo.Bearer(token), "read_logs", nil, want) }
	no := demo.Want{Status: 403, Reason: mcpauth.ReasonRole}

	client.Step("The file changes while the server runs: users may read logs")
	if err := readLogs(no); err != nil {
		return err
	}
	client.Note("- %s", logsForUsers[0])
	client.Note("+ %s", logsForUsers[1])
	if err := save(slog.LevelInfo, logsForUsers); err != nil {
		return err
	}
	if err := readLogs(demo.Want{Text: "done"}); err != nil {
		return err
	}

	for _, bad := range [][2]string{misspelled, unfinished} {
		client.Step("A change with a mistake: " + bad[1])
		if err := save(slog.LevelError, bad); err != nil { // and users may not read logs any more: half of it is as good as none
			return err
		}
		if err := readLogs(demo.Want{Text: "done"}); err != nil {
			return err
		}
	}

	client.Step("The file is as it was")
	if err := save(slog.LevelInfo); err != nil {
		return err
	}
	return readLogs(no)
}
