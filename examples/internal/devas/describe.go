package devas

import (
	"errors"
	"net/http"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/go-mcpauth/sdk/examples/internal/cimd"
)

// describe chooses the sentence for an authorization request that failed without a redirect (AS-11, AS-61, AS-64).
func describe(err error) problemPage {
	var oe goidc.Error
	var doc *cimd.Error
	switch {
	case errors.As(err, &doc):
		return problemPage{Status: http.StatusBadRequest, Title: "Application information could not be loaded",
			Text: "The application says that its information is at " + clean(doc.Host, 100) + ", but: " + doc.Reason +
				". You are not sent back there. Try again from the application, or tell its makers."}
	case errors.Is(err, errRequestGone):
		return problemPage{Status: http.StatusBadRequest, Title: "This authorization request expired.",
			Text: "It is too old, or it was decided already. Go back to the application and start again."}
	case errors.Is(err, goidc.ErrNotFound):
		return problemPage{Status: http.StatusBadRequest, Title: "Unknown application",
			Text: "This server does not know the application that sent you here. It may have been removed, or this server may have been restarted: let the application register again."}
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
