package jwks

// An algorithm is a signature algorithm of RFC 7518, Section 3.1, or RFC 8037.
// There is no value for none and for HMAC, so no set can ever hold them.
type algorithm uint8

const (
	rs256 algorithm = iota
	rs384
	rs512
	ps256
	ps384
	ps512
	es256
	es384
	es512
	edDSA
	numAlgorithms
	noAlgorithm = numAlgorithms
)

const rsaAlgorithms algSet = 1<<rs256 | 1<<rs384 | 1<<rs512 | 1<<ps256 | 1<<ps384 | 1<<ps512

type algSet uint16

func (s algSet) has(a algorithm) bool { return s>>a&1 == 1 }

// algorithmOf compares with case (RFC 7515, Section 4.1.1). Ed25519 is the name
// that RFC 9864 gives to EdDSA over edwards25519.
func algorithmOf(name string) algorithm {
	switch name {
	case "RS256":
		return rs256
	case "RS384":
		return rs384
	case "RS512":
		return rs512
	case "PS256":
		return ps256
	case "PS384":
		return ps384
	case "PS512":
		return ps512
	case "ES256":
		return es256
	case "ES384":
		return es384
	case "ES512":
		return es512
	case "EdDSA", "Ed25519":
		return edDSA
	}
	return noAlgorithm
}
