// The ops, as scripts find them that are loaded on first use. See arguments.ts.
(function () {
return __bootstrap.core.ops;
})();
