package mcpauth_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// Logs of a configuration name its choices, and show one that there is not by its number.
func TestChoicesPrintTheirNames(t *testing.T) {
	for choice, want := range map[fmt.Stringer]string{
		mcpauth.ListObtainable: "obtainable", mcpauth.ListAllowed: "allowed", mcpauth.ListAll: "all", mcpauth.Listing(9): "Listing(9)",
		mcpauth.StepUpByRevision: "by revision", mcpauth.StepUpNeeded: "needed", mcpauth.StepUpWithGranted: "with granted", mcpauth.StepUp(9): "StepUp(9)",
		mcpauth.DPoPOptional: "optional", mcpauth.DPoPRequired: "required", mcpauth.DPoPOff: "off", mcpauth.DPoPMode(9): "DPoPMode(9)",
	} {
		require.Equal(t, want, choice.String())
	}
}
