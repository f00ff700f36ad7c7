package audit

var (
	Text  = text
	ASCII = ascii
)

const MaxText, MaxSentence = maxText, maxSentence
