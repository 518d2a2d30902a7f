package object

import (
	"cmp"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The ways to hash passwords that we accept, in Casdoor's words. We hash with passwordType.
const (
	passwordType   = "bcrypt"
	passwordArgon  = "argon2id"
	passwordPBKDF2 = "pbkdf2-salt"
)

// maxPassword is what bcrypt can take, in bytes.
const maxPassword = 72

func hashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(hash), nil
}

func passwordMatches(hash, password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

// storedPassword is what is kept of a password.
type storedPassword struct {
	kind, hash string
	salts      []string // for pbkdf2-salt: Casdoor tries the organization's and the user's
}

// passwordOf returns what is kept of the user's password or, where there is no user or no password, a hash whose
// password nobody knows: to compare with it takes as long.
func passwordOf(user *sdk.User, o *sdk.Organization) storedPassword {
	if user == nil || user.Password == "" {
		return nobodys(o.PasswordType)
	}
	salts := slices.Compact([]string{o.PasswordSalt, user.PasswordSalt})
	return storedPassword{cmp.Or(user.PasswordType, o.PasswordType), user.Password, salts}
}

// comparisons returns all that a password is compared with: what is kept of the user's comes first, and hashes that
// nobody knows the password of follow. As users have the organization's kind of hash or, where they have chosen the
// password here, ours, each name takes the time of both.
func comparisons(user *sdk.User, o *sdk.Organization) []storedPassword {
	compared := []storedPassword{passwordOf(user, o)}
	for _, kind := range []string{passwordType, o.PasswordType} {
		other := nobodys(kind)
		if !slices.ContainsFunc(compared, func(p storedPassword) bool { return nobodys(p.kind).kind == other.kind }) {
			compared = append(compared, other)
		}
	}
	return compared
}

// nobodys returns a hash of that kind that matches no password that is known.
func nobodys(kind string) storedPassword {
	switch kind {
	case passwordArgon:
		return storedPassword{kind: kind, hash: "$argon2id$v=19$m=65536,t=1,p=4$jp/It4KNfGw7SEEYXh0vmw$" +
			"tAzEZhuIcpVZq0mJMIM8MuWRsoUZBCKh56xxkOlgdT0"}
	case passwordPBKDF2:
		return storedPassword{kind: kind, salts: []string{"", "98b06df78eb088d6fa86"}}
	default:
		return storedPassword{kind: passwordType, hash: "$2a$10$CIMF3OP9bBPOep1X.m/D7u0UuKyvOF9MmBTb37BM/dy7bd3W457N."}
	}
}

// errPasswordType means that a password is hashed in a way that we do not accept, or is not hashed at all.
var errPasswordType = errors.New("the passwordType is none of bcrypt, argon2id and pbkdf2-salt")

// matches reports whether password is the one that is kept. Its error is errPasswordType.
func (p storedPassword) matches(password string) (bool, error) {
	switch p.kind {
	case passwordType:
		return passwordMatches(p.hash, password), nil
	case passwordArgon:
		return argonMatches(p.hash, password), nil
	case passwordPBKDF2:
		return pbkdf2Matches(p.hash, p.salts, password), nil
	}
	_, _ = nobodys("").matches(password) // what a wrong one takes
	return false, errPasswordType
}

// What argon2id may take of us: a hash that asks for more is not accepted.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonTime   = 16
)

// argonMatches takes hashes such as "$argon2id$v=19$m=65536,t=1,p=4$salt$key".
func argonMatches(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != passwordArgon || parts[2] != "v=19" {
		return false
	}
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || err2 != nil || len(key) < sha256.Size/2 || memory > maxArgonMemory ||
		time == 0 || time > maxArgonTime || threads == 0 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(key)))
	return subtle.ConstantTimeCompare(key, got) == 1
}

// pbkdf2Matches does what Casdoor does: 27,500 rounds of SHA-256, and a salt in base64 of which it takes what it can
// read.
func pbkdf2Matches(hash string, salts []string, password string) bool {
	const rounds, size = 27500, 64
	matched := 0
	for _, text := range salts {
		salt, _ := base64.StdEncoding.DecodeString(text)
		key, err := pbkdf2.Key(sha256.New, password, salt, rounds, size)
		if err == nil {
			got := base64.StdEncoding.EncodeToString(key)
			matched |= subtle.ConstantTimeCompare([]byte(hash), []byte(got))
		}
	}
	return matched == 1
}
