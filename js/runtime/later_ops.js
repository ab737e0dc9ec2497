// Returns the object of ops that scripts loaded on first use see. See arguments.ts.
(function () {
return __bootstrap.core.ops;
})();
