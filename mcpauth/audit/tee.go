package audit

import (
	"context"
	"slices"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// Tee returns a function for Config.OnDecision that calls each of fs in turn. Those that are nil are left
// out.
//
// A panic in one does not keep the decision from the others. When all were called, the first panic goes on:
// the middleware answers it with a refusal, since what was not written down must not happen.
func Tee(fs ...func(context.Context, mcpauth.Decision)) func(context.Context, mcpauth.Decision) {
	fs = slices.DeleteFunc(slices.Clone(fs), func(f func(context.Context, mcpauth.Decision)) bool { return f == nil })
	return func(ctx context.Context, d mcpauth.Decision) { tee(ctx, d, fs) }
}

func tee(ctx context.Context, d mcpauth.Decision, fs []func(context.Context, mcpauth.Decision)) {
	for i, f := range fs {
		if thrown := call(ctx, d, f); thrown != nil {
			for _, f := range fs[i+1:] {
				call(ctx, d, f)
			}
			panic(thrown)
		}
	}
}

// call returns what f panics with. It is never nil then: see runtime.PanicNilError.
func call(ctx context.Context, d mcpauth.Decision, f func(context.Context, mcpauth.Decision)) (thrown any) {
	defer func() { thrown = recover() }()
	f(ctx, d)
	return nil
}
