package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Verify compares the patterns of [For] with what a server offers, which [mcpauth.Middleware.Catalog] says. It returns
// an error for each that names tools or prompts of which there is none, joined: such a pattern is often misspelled, and what
// it was meant for is open. [mcpauth.Middleware.Verify] cannot find that, since to it a Policy is any function.
func (c Condition) Verify(offered scopes.Catalog) error {
	return errors.Join(c.verify(offered)...)
}

func (c Condition) verify(offered scopes.Catalog) (errs []error) {
	if c.node == nil {
		return nil
	}
	if strings.Contains(c.node.pattern, " ") && !slices.ContainsFunc(offered.Items, c.node.fitsItem) {
		errs = append(errs, fmt.Errorf("the condition for %q has no target on this server, so it refuses nothing; is the name misspelled?", c.node.pattern))
	}
	for _, part := range c.node.parts {
		errs = append(errs, part.verify(offered)...)
	}
	return errs
}

// fitsItem reports whether a For is about a tool or prompt.
func (n *node) fitsItem(item scopes.Item) bool {
	switch item.Kind {
	case scopes.Tool:
		return n.fits(mcpauth.Operation{Method: "tools/call", Name: item.Name})
	case scopes.Prompt:
		return n.fits(mcpauth.Operation{Method: "prompts/get", Name: item.Name})
	}
	return false
}
