-- Least privilege: these are called by functions of the database only, which run as the owner, no longer by the
-- application. A token is bound to a session where the code is used up (auth.use_code), an assertion is used up
-- together with its proof (auth.use_credentials).
REVOKE EXECUTE ON FUNCTION auth.use_assertion, auth.bind_token, auth.session_stands FROM hub_app;
