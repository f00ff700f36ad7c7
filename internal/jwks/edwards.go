package jwks

import (
	"math/big"
	"slices"
)

// Field prime 2^255-19 and curve constant -121665/121666 of edwards25519
// (RFC 8032, Section 5.1).
var (
	edP = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	edD = func() *big.Int {
		d := new(big.Int).ModInverse(big.NewInt(121666), edP)
		d.Mul(d, big.NewInt(-121665))
		return d.Mod(d, edP)
	}()
)

// onEdwards25519 reports whether the 32 octets encode a point of edwards25519
// canonically (RFC 8032, Section 5.1.3) that is none of the eight of small
// order, for which anyone can make signatures. crypto/ed25519 decodes the key
// only when it verifies. Time depends on the input, which is public.
func onEdwards25519(encoded []byte) bool {
	if len(encoded) != 32 {
		return false
	}
	b := slices.Clone(encoded)
	slices.Reverse(b) // little endian
	b[0] &= 0x7f      // the sign of x
	y := new(big.Int).SetBytes(b)
	if y.Cmp(edP) >= 0 {
		return false
	}
	// x^2 = (y^2 - 1) / (d y^2 + 1)
	yy := new(big.Int).Mul(y, y)
	yy.Mod(yy, edP)
	u := new(big.Int).Sub(yy, big.NewInt(1))
	v := new(big.Int).Mul(edD, yy)
	v.Add(v, big.NewInt(1))
	v.ModInverse(v, edP) // d is no square, so v is never zero
	xx := u.Mul(u, v)
	xx.Mod(xx, edP)
	if big.Jacobi(xx, edP) == -1 {
		return false
	}
	// Order 1 and 2 have x = 0, order 4 has y = 0. A point of order 8 doubles
	// to one of order 4, whose y is (x^2 + y^2) / (1 - d x^2 y^2).
	sum := new(big.Int).Add(xx, yy)
	sum.Mod(sum, edP)
	return xx.Sign() != 0 && y.Sign() != 0 && sum.Sign() != 0
}
