package doctor

import (
	"slices"
	"time"
)

// A Status is what a finding comes to. The zero Status is no verdict and counts as a failure.
type Status string

const (
	// Pass means that the step went as it should.
	Pass Status = "pass"
	// Warn means that some clients may stumble, or that it could not be told.
	Warn Status = "warn"
	// Fail means that a client cannot get through, or that the server is not safe.
	Fail Status = "fail"
	// Skip means that the step needs something that an earlier one did not find or that was not given; Got says what.
	Skip Status = "skip"
)

// A Symptom is what a person sees who does not know the cause yet.
type Symptom string

const (
	// Refused: the login works, and the server still answers 401.
	Refused Symptom = "401 after a good login"
	// Forbidden: the server knows the caller and answers 403 to whatever it asks.
	Forbidden Symptom = "403 on every call"
	// NoTools: the connection works and the client shows no tools.
	NoTools Symptom = "no tools shown"
	// RedirectMismatch: the authorization server shows an error page about the redirect URI.
	RedirectMismatch Symptom = "redirect mismatch"
	// InvalidTarget: the authorization server refuses the resource parameter.
	InvalidTarget Symptom = "invalid_target"
	// NoBrowser: the client reports an error, or nothing, and never begins a login.
	NoBrowser Symptom = "client never opens the browser"
)

// A Finding is what one look at one thing showed. Foreign text in it is bounded, printable ASCII.
type Finding struct {
	Step    string   `json:"step"`              // which step; does not change between releases
	Cause   string   `json:"cause,omitempty"`   // what is wrong, in a word that does not change; empty for Pass and Skip
	Title   string   `json:"title"`             // the step, for people
	Status  Status   `json:"status"`            // the verdict
	Got     string   `json:"got"`               // what came back
	Symptom Symptom  `json:"symptom,omitempty"` // how it shows, where that is known
	Clients []string `json:"clients,omitempty"` // which of the known clients stumble; nil: all of them or none
	Cure    string   `json:"cure,omitempty"`    // how to repair it
	Clause  string   `json:"clause,omitempty"`  // where it is written
}

// ID is step and cause in one word, such as "challenge/missing", or the step alone.
func (f Finding) ID() string {
	if f.Cause == "" {
		return f.Step
	}
	return f.Step + "/" + f.Cause
}

// A Report is what an examination found, in the order in which clients would come upon it. The zero Report is not OK.
type Report struct {
	URL      string    `json:"url"`      // what was examined; the values of a query are left out
	Time     time.Time `json:"time"`     // when it began
	Requests int       `json:"requests"` // how many were sent
	Findings []Finding `json:"findings"` // at least one
}

// OK reports whether there are findings and none of them is a [Fail].
func (r *Report) OK() bool {
	return r != nil && len(r.Findings) > 0 && !slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.Status != Pass && f.Status != Warn && f.Status != Skip
	})
}

// Count returns how many findings have a status.
func (r *Report) Count(s Status) int {
	n := 0
	for _, f := range r.Findings {
		if f.Status == s {
			n++
		}
	}
	return n
}
