package prm

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Five minutes keep a client that retries from asking each time, and a wrong document from outliving its repair by more than a coffee. The
// entity tag makes asking again cheap.
const (
	defaultMaxAge = 5 * time.Minute
	mostMaxAge    = time.Hour
)

// Config configures [NewHandler]. Resources is required.
type Config struct {
	// Resources holds the metadata of every resource of one host: scheme, host and port of all identifiers are the same, and no two differ
	// only in a slash at the end. The handler keeps no reference to them.
	Resources []*Metadata

	// RootMetadata also answers at [WellKnownPrefix] itself for a resource with a path. Some clients ask nowhere else, although RFC 9728,
	// Section 3.3 forbids using a document whose resource is not the one asked for. Refused where there is more than one resource.
	RootMetadata bool

	// MaxAge is how long clients and caches may keep a document without asking again, in whole seconds. Zero means five minutes, negative
	// means not at all; more than an hour is refused. Where documents are signed, none is kept beyond the exp of its signature.
	MaxAge time.Duration

	// Signing signs each document when it is first asked for, and anew in the middle of the signature's lifetime, on the request that comes
	// then: there is no goroutine. While the key fails, the last signature is served until it expires, and after that the document without
	// one, which RFC 9728, Section 2 allows, with a max-age of a minute at most; the key is asked again once a minute. An expired signature
	// is never served. Nil: the documents are not signed.
	Signing *Signing

	// Now is the clock of signatures. Nil: time.Now.
	Now func() time.Time

	// Logger gets a line when a document cannot be signed, and when it can be again. Nil discards.
	Logger *slog.Logger
}

// NewHandler returns a handler that serves the documents of cfg at their well-known URLs, each with and without a slash at the end (RFC 9728 and
// RFC 8414 differ on it). The error joins every mistake in cfg, those of [Metadata.Validate] included.
//
// A request is matched by its method, whole path and query alone, byte for byte; an identifier's query is part of the match. Everything else
// under [WellKnownPrefix], and everywhere, is 404; only CORS preflight requests succeed for all of the prefix, or a browser could not see the
// 404. Methods are GET, HEAD and OPTIONS. All responses can be read from every web origin, without credentials. Documents are encoded here, once: later changes of
// a Metadata need a new handler, which gives them another entity tag. So does each new signature; replicas with the same key sign for the same
// times, so their tags are equal where the algorithm leaves nothing to chance (all but PS256 and its kin, and elliptic keys of key services).
func NewHandler(cfg Config) (http.Handler, error) {
	age, errs := cfg.MaxAge, []error(nil)
	switch {
	case age == 0:
		age = defaultMaxAge
	case age < 0:
		age = 0
	case age > mostMaxAge:
		errs = append(errs, fmt.Errorf("prm: MaxAge is %v; write %v or less", age, mostMaxAge))
	}
	if len(cfg.Resources) == 0 {
		errs = append(errs, errors.New("prm: Resources is empty; write the metadata of at least one resource"))
	}
	if cfg.RootMetadata && len(cfg.Resources) > 1 {
		errs = append(errs, errors.New("prm: RootMetadata is set for more than one resource; unset it, or give each resource a host of its own"))
	}
	sign, err := newRenewals(cfg)
	if err != nil {
		errs = append(errs, named("prm:", err))
	}
	h := &handler{documents: make(map[route]*document)}
	var origin string
	for i, m := range cfg.Resources {
		if err := m.mistakes(); err != nil {
			errs = append(errs, named(fmt.Sprintf("prm: Resources[%d]:", i), err))
			continue
		}
		body, err := m.MarshalJSON()
		if err != nil {
			errs = append(errs, fmt.Errorf("prm: Resources[%d]: %w", i, err))
			continue
		}
		d := newDocument(body, age)
		if err := sign.attach(d, m, age); err != nil {
			errs = append(errs, named(fmt.Sprintf("prm: Resources[%d]:", i), err))
		}
		l, _ := parseResource(m.Resource) // no error after mistakes()
		if origin == "" {
			origin = l.origin()
		} else if origin != l.origin() {
			errs = append(errs, fmt.Errorf("prm: Resources[%d] is on %s, not on %s as those before it; write a handler for each host", i, l.origin(), origin))
		}
		if !h.add(l.wellKnownPath(), l.query, d) {
			errs = append(errs, fmt.Errorf("prm: Resources[%d] differs from an earlier one in nothing but a slash at the end; write one of them", i))
		}
		if cfg.RootMetadata && len(cfg.Resources) == 1 {
			h.add(WellKnownPrefix, "", d)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return h, nil
}

// A route is what a request is matched by: the path as sent, before decoding, and the query.
type route struct{ path, query string }

type handler struct{ documents map[route]*document }

// add enters a document with and without the slash at the end. It reports whether both places were free.
func (h *handler) add(path, query string, d *document) bool {
	path = strings.TrimSuffix(path, "/")
	bare, twin := route{path, query}, route{path + "/", query}
	if h.documents[bare] != nil {
		return false
	}
	h.documents[bare], h.documents[twin] = d, d
	return true
}

// Header values that are the same in every response. Their capacity is their length, so that an Add by other middleware copies them.
var (
	anyOrigin  = []string{"*"}
	methods    = []string{"GET, HEAD, OPTIONS"}
	jsonType   = []string{"application/json"}
	textType   = []string{"text/plain; charset=utf-8"}
	noSniff    = []string{"nosniff"}
	noStore    = []string{"no-store"}
	notFound   = []byte("404: no protected resource metadata at this URL\n")
	notAllowed = []byte("405: use GET or HEAD\n")
)

// ServeHTTP answers one request. It reads no more of it than method, path, query and the headers for preflight and revalidation.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	// Public and the same for all, so every origin may read it, errors included; but never with credentials.
	header["Access-Control-Allow-Origin"] = anyOrigin
	delete(header, "Access-Control-Allow-Credentials")

	path := r.URL.EscapedPath() // not Path: %2F and %2e stay different from / and .
	d := h.documents[route{path, r.URL.RawQuery}]
	switch {
	case d == nil && isPreflight(r) && (path == WellKnownPrefix || strings.HasPrefix(path, WellKnownPrefix+"/")):
		// A client in a browser sees the 404 that follows, and asks elsewhere, only if the preflight before it succeeds.
		preflight(w, r)
	case d == nil:
		refuse(w, r, http.StatusNotFound, notFound)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		d.now(r.Context()).serve(w, r)
	case r.Method == http.MethodOptions:
		preflight(w, r)
	default:
		header["Allow"] = methods
		refuse(w, r, http.StatusMethodNotAllowed, notAllowed)
	}
}

// refuse writes an error that no cache keeps: RFC 9110, Section 15.1 would let it keep a 404.
func refuse(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	header := w.Header()
	header["Cache-Control"] = noStore
	header["Content-Type"] = textType
	header["X-Content-Type-Options"] = noSniff
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(text) // a client that is gone has nobody to tell
	}
}

// A document is one encoded response.
type document struct {
	body         []byte
	etag         string
	etagField    []string
	lengthField  []string
	cacheControl []string

	renewal *renewal // nil: the document is not signed, or is the signed form itself
}

func newDocument(body []byte, maxAge time.Duration) *document {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return &document{
		body:         body,
		etag:         etag,
		etagField:    []string{etag},
		lengthField:  []string{strconv.Itoa(len(body))},
		cacheControl: cacheControl(int64(maxAge / time.Second)),
	}
}

func cacheControl(seconds int64) []string {
	return []string{"public, max-age=" + strconv.FormatInt(seconds, 10)}
}

// form is a document with what caches are told at the moment.
type form struct {
	*document
	cacheControl []string
}

func (d form) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Cache-Control"] = d.cacheControl
	header["Etag"] = d.etagField
	header["X-Content-Type-Options"] = noSniff
	if noneMatch(r.Header["If-None-Match"], d.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header["Content-Type"] = jsonType
	header["Content-Length"] = d.lengthField
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(d.body) // a client that is gone has nobody to tell
	}
}

// noneMatch reports whether an If-None-Match field names etag or "*" (RFC 9110, Section 13.1.2: weak comparison). What follows a malformed
// tag is not read; the cost of that is a full response.
func noneMatch(fields []string, etag string) bool {
	for _, list := range fields {
		for {
			list = strings.TrimLeft(list, " \t,")
			if strings.HasPrefix(list, "*") {
				return true
			}
			opaque, quoted := strings.CutPrefix(strings.TrimPrefix(list, "W/"), `"`)
			if !quoted {
				break
			}
			end := strings.IndexByte(opaque, '"')
			if end < 0 || !all(opaque[:end], etagByte) {
				break
			}
			if opaque[:end] == etag[1:len(etag)-1] {
				return true
			}
			list = opaque[end+1:]
		}
	}
	return false
}

// etagByte is etagc of RFC 9110, Section 8.8.3.
func etagByte(c byte) bool { return c > ' ' && c != '"' && c != 0x7F }
