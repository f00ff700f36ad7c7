package main

import (
	"context"
	"errors"
	"reflect"
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

const errorStatus = codes.Error

// methods are those that clients send. Each label costs memory here and at whoever keeps it, so what a client
// makes up becomes none.
var methods = map[string]bool{
	"":    true, // refused before a method was looked at
	"GET": true, "DELETE": true,
	"initialize": true, "ping": true, "server/discover": true, "logging/setLevel": true, "completion/complete": true,
	"tools/list": true, "tools/call": true, "prompts/list": true, "prompts/get": true,
	"resources/list": true, "resources/templates/list": true, "resources/read": true, "resources/subscribe": true, "resources/unsubscribe": true,
	"subscriptions/listen":      true,
	"notifications/initialized": true, "notifications/cancelled": true, "notifications/progress": true, "notifications/roots/list_changed": true,
}

// labels are the method and, of a tool that is known, the name. Resources have none: their URIs have no end.
func (t *telemetry) labels(method, name string) []attribute.KeyValue {
	if !methods[method] {
		method = "_OTHER"
	}
	out := append(make([]attribute.KeyValue, 0, 6), semconv.McpMethodNameKey.String(method))
	if method == "tools/call" && t.tools[name] {
		out = append(out, semconv.GenAIToolName(name))
	}
	return out
}

func nameOf(req mcp.Request) string {
	if call, ok := req.(*mcp.CallToolRequest); ok && call.Params != nil {
		return call.Params.Name
	}
	return ""
}

// hop is the span of the HTTP request that the message came with.
func (t *telemetry) hop(req mcp.Request) trace.SpanContext {
	extra := req.GetExtra()
	if extra == nil {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(t.format.Extract(context.Background(), propagation.HeaderCarrier(extra.Header)))
}

// client is the span that the client has put into _meta.
func (t *telemetry) client(req mcp.Request) trace.SpanContext {
	var meta map[string]any
	if params := req.GetParams(); params != nil && !reflect.ValueOf(params).IsNil() { // GetMeta follows nil pointers
		meta = params.GetMeta()
	}
	carrier := make(propagation.MapCarrier, 2)
	for _, name := range t.format.Fields() {
		if value, ok := meta[name].(string); ok {
			carrier[name] = value
		}
	}
	return trace.SpanContextFromContext(t.format.Extract(context.Background(), carrier))
}

// errorType follows the conventions: the code of a JSON-RPC error, or tool_error. It is empty where all is well.
func errorType(res mcp.Result, err error) string {
	if err != nil {
		var coded *jsonrpc.Error
		if errors.As(err, &coded) {
			return strconv.FormatInt(coded.Code, 10)
		}
		return "_OTHER"
	}
	if tool, ok := res.(*mcp.CallToolResult); ok && tool != nil && tool.IsError {
		return "tool_error"
	}
	return ""
}
