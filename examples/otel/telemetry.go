package main

import (
	"context"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/semconv/v1.41.0/mcpconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-mcpauth/sdk/mcpauth"
)

const scope = "github.com/go-mcpauth/sdk/examples/otel"

// Attributes of our own. The conventions have none for authorization.
const (
	outcomeKey = attribute.Key("mcpauth.outcome") // "allowed" or "refused"
	reasonKey  = attribute.Key("mcpauth.reason")  // mcpauth.Reason
	ruleKey    = attribute.Key("mcpauth.rule")
)

// telemetry has three hooks, which share what they know of each request by its trace: wrap goes around the
// protected handler, decided is Config.OnDecision, and receive goes between the guard and the tools.
type telemetry struct {
	tracer    trace.Tracer
	decisions metric.Int64Counter
	duration  mcpconv.ServerOperationDuration
	format    propagation.TraceContext // baggage is left alone: nobody here needs what strangers write into it

	tools   map[string]bool // the names that may become labels
	endUser bool            // spans name the user: enduser.id
	now     func() time.Time
}

func newTelemetry(metrics metric.MeterProvider, traces trace.TracerProvider, tools ...string) (*telemetry, error) {
	t := &telemetry{tracer: traces.Tracer(scope), tools: make(map[string]bool), now: time.Now}
	for _, name := range tools {
		t.tools[name] = true
	}
	meter := metrics.Meter(scope)
	var err error
	t.decisions, err = meter.Int64Counter("mcpauth.decisions", metric.WithUnit("{decision}"), metric.WithDescription("Decisions about operations and requests."))
	if err != nil {
		return nil, err
	}
	t.duration, err = mcpconv.NewServerOperationDuration(meter,
		metric.WithExplicitBucketBoundaries(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)) // of the conventions
	return t, err
}

// wrap starts a span for each HTTP request, in the trace of its traceparent header. What is behind finds the
// span itself in that header: Decision.TraceID is that of the span then, with or without one from the client,
// and so is what receive links to. A header that a client sends twice goes.
//
// Package otelhttp does more of this, apart from the header.
func (t *telemetry) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if len(r.Header["Traceparent"]) == 1 {
			ctx = t.format.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		method := r.Method
		if method != http.MethodPost && method != http.MethodGet && method != http.MethodDelete {
			method = "_OTHER"
		}
		ctx, span := t.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(semconv.HTTPRequestMethodKey.String(method)))
		defer span.End()
		r = r.WithContext(ctx)
		r.Header = r.Header.Clone()
		r.Header.Del("Traceparent")
		r.Header.Del("Tracestate")
		t.format.Inject(ctx, propagation.HeaderCarrier(r.Header))
		next.ServeHTTP(w, r)
	})
}

// decided counts a decision and adds it to the span of its request. A batch makes several events.
func (t *telemetry) decided(ctx context.Context, d mcpauth.Decision) {
	outcome := "refused"
	if d.Allowed {
		outcome = "allowed"
	}
	labels := append(t.labels(d.Operation.Method, d.Operation.Name), outcomeKey.String(outcome), reasonKey.String(string(d.Reason)))
	t.decisions.Add(ctx, 1, metric.WithAttributes(labels...))

	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	// What a log has room for does not go here: whoever may see traces is often not who may see the log.
	if d.Rule != "" {
		labels = append(labels, ruleKey.String(d.Rule))
	}
	span.AddEvent("mcpauth.decision", trace.WithAttributes(labels...), trace.WithTimestamp(d.Time))
	if t.endUser && d.Principal.Subject() != "" {
		span.SetAttributes(semconv.EnduserID(d.Principal.Subject()))
	}
}

// receive measures what the guard has let through, and gives it a span. Add it to the server before the
// server is given to Protect: what is added later is further out. With the first request, it also sees the four
// lists that the middleware asks for itself, to find tools without a rule.
//
// The span's parent comes from params._meta, where a client that traces MCP puts its own span (SEP-414),
// and the HTTP request is a link. Without one, the HTTP request is the parent. The conventions put _meta
// first because one HTTP request may hold several messages, and because an HTTP hop in between may belong to
// somebody else. Of a stateful session, ctx is that of the request that opened it, so the header counts,
// not ctx.
func (t *telemetry) receive(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (res mcp.Result, err error) {
		began := t.now()
		hop := t.hop(req)
		ctx = trace.ContextWithSpanContext(ctx, hop)
		options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
		if client := t.client(req); client.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, client)
			if hop.IsValid() {
				options = append(options, trace.WithLinks(trace.Link{SpanContext: hop}))
			}
		}
		labels := t.labels(method, nameOf(req))
		spanName := labels[0].Value.AsString()
		if len(labels) > 1 {
			spanName += " " + labels[1].Value.AsString()
			labels = append(labels, semconv.GenAIOperationNameExecuteTool)
		}
		ctx, span := t.tracer.Start(ctx, spanName, append(options, trace.WithAttributes(labels...))...)
		failure := "panic"
		defer func() {
			if failure != "" {
				kind := semconv.ErrorTypeKey.String(failure)
				labels = append(labels, kind)
				span.SetAttributes(kind)
				span.SetStatus(errorStatus, "") // the text may hold arguments
			}
			span.End()
			t.duration.Record(ctx, t.now().Sub(began).Seconds(), mcpconv.MethodNameAttr(labels[0].Value.AsString()), labels[1:]...)
		}()
		if t.endUser {
			if caller, ok := mcpauth.FromContext(ctx); ok {
				span.SetAttributes(semconv.EnduserID(caller.Subject()))
			}
		}
		res, err = next(ctx, method, req)
		failure = errorType(res, err)
		return res, err
	}
}
