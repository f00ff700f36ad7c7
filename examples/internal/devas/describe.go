package devas

import (
	"errors"
	"net/http"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// describe chooses the sentence for an authorization request that failed without a redirect (AS-11, AS-61, AS-64).
func describe(err error) problemPage {
	var oe goidc.Error
	switch {
	case errors.Is(err, errRequestGone):
		return problemPage{Status: http.StatusBadRequest, Title: "This authorization request expired.",
			Text: "It is too old, or it was decided already. Go back to the application and start again."}
	case errors.Is(err, goidc.ErrNotFound):
		return problemPage{Status: http.StatusBadRequest, Title: "Unknown application",
			Text: "This server does not know the application that sent you here. It forgets all registrations when it restarts: let the application register again."}
	case errors.As(err, &oe) && oe.Description == "invalid redirect_uri":
		return problemPage{Status: http.StatusBadRequest, Title: "The application's redirect URL is not registered.",
			Text: "For your safety you are not sent there. Tell the makers of the application."}
	case errors.As(err, &oe) && oe.StatusCode() < 500:
		return problemPage{Status: http.StatusBadRequest, Title: "The application sent a request that cannot be used.",
			Text: "Go back to the application. If it happens again, tell its makers; the log of this server says why."}
	}
	return problemPage{Status: http.StatusInternalServerError, Title: "Something went wrong on this server.",
		Text: "Go back to the application and start again. The log of this server says why."}
}
