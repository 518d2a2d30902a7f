package object

import (
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// passwordType is how we hash passwords, in Casdoor's words.
const passwordType = "bcrypt"

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
