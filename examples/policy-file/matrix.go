package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"
)

// What a cell of a matrix says.
const (
	allowed   = "yes"
	denied    = "-"          // 403: no token of this caller would help
	scopeLess = "more scope" // 403 with a challenge that names the scopes
	loginLess = "sign in"    // 401 with a challenge that says how
	unknown   = "unknown"    // as if there were no such thing
)

// An operation is a row.
type operation struct{ method, name, params string }

func (o operation) String() string { return strings.TrimSpace(o.method + " " + o.name) }

// operations are the rows: all tools, and something of each other kind.
func operations() (out []operation) {
	for _, name := range []string{"whoami", "read_file", "search", "write_file", "format_file", "dev_run_tests", "dev_restart", "read_logs",
		"settings_get", "settings_set", "drop_index", "wipe_disk"} {
		out = append(out, operation{"tools/call", name, fmt.Sprintf(`{"name":%q,"arguments":{}}`, name)})
	}
	out = append(out, operation{"prompts/get", "review_change", `{"name":"review_change"}`})
	for _, uri := range []string{"docs://start", "logs://today", "settings://network"} {
		out = append(out, operation{"resources/read", uri, fmt.Sprintf(`{"uri":%q}`, uri)})
	}
	return append(out, operation{"logging/setLevel", "", `{"level":"info"}`})
}

// A column is a caller.
type column struct{ title, token string }

// matrix calls everything as everybody. Its rows are in the order of operations, its cells in the order of columns.
func (w *workshop) matrix(ctx context.Context, columns []column) ([][]string, error) {
	var out [][]string
	for _, o := range operations() {
		row := make([]string, len(columns))
		for i, c := range columns {
			var err error
			if row[i], err = w.try(ctx, o, c.token); err != nil {
				return nil, fmt.Errorf("%s as %s: %w", o, c.title, err)
			}
		}
		out = append(out, row)
	}
	return out, nil
}

func printMatrix(out io.Writer, columns []column, rows [][]string) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprint(table, "   ")
	for _, c := range columns {
		fmt.Fprint(table, "\t", c.title)
	}
	fmt.Fprintln(table)
	for i, o := range operations() {
		fmt.Fprintf(table, "   %s\t%s\n", o, strings.Join(rows[i], "\t"))
	}
	return table.Flush()
}

// try makes one request and says how it went.
func (w *workshop) try(ctx context.Context, o operation, token string) (string, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, o.method, o.params)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.resource, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", err
	}
	challenge := res.Header.Get("WWW-Authenticate")
	var message struct {
		Result json.RawMessage
		Error  *struct{ Code int }
	}
	err = json.NewDecoder(bytes.NewReader(answer)).Decode(&message)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", res.Status, err)
	case res.StatusCode == http.StatusOK && message.Result != nil:
		return allowed, nil
	case res.StatusCode == http.StatusOK && message.Error != nil && message.Error.Code == -32602:
		return unknown, nil
	case res.StatusCode == http.StatusForbidden && challenge == "":
		return denied, nil
	case res.StatusCode == http.StatusForbidden && strings.Contains(challenge, `error="insufficient_scope"`):
		return scopeLess, nil
	case res.StatusCode == http.StatusUnauthorized && strings.Contains(challenge, `error="insufficient_user_authentication"`):
		return loginLess, nil
	}
	return "", fmt.Errorf("got %s and the challenge %q: %s", res.Status, challenge, answer)
}
