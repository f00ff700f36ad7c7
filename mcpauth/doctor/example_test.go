package doctor_test

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// A token that looks right to its owner: the audience has a slash too much, and typ is that of ID tokens as well.
func ExampleInspect() {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	token := part(`{"alg":"RS256","typ":"JWT"}`) + "." +
		part(`{"iss":"https://login.example.com","aud":"https://mcp.example.com/mcp/","exp":1800000600,"iat":1800000000}`) + ".c2lnbmF0dXJl"

	report, err := doctor.Inspect(token, doctor.InspectOptions{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []string{"https://login.example.com"},
		Now:      func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Findings {
		if f.Cause != "" {
			fmt.Println(f.Status, f.ID())
		}
	}
	// Output:
	// fail token-audience/slash
	// warn token-type/jwt
}
