package controllers

import (
	"strconv"
	"strings"
)

// miniProgramCode returns what a mini program needs to sign in here, with its values filled in.
func miniProgramCode(server, clientID string) string {
	text, err := consoleFiles.ReadFile("pages/console/minidoor.js.txt")
	if err != nil {
		panic(err) // it is embedded
	}
	values := strings.NewReplacer(
		`"{server}"`, strconv.QuoteToASCII(server), `"{clientId}"`, strconv.QuoteToASCII(clientID))
	return values.Replace(string(text))
}
