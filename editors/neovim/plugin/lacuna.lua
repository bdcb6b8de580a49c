-- The command, and what every buffer gets that the server is attached to.
vim.api.nvim_create_autocmd('LspAttach', {
  callback = function(event) require('lacuna').on_attach(event.data.client_id, event.buf) end,
})
vim.api.nvim_create_user_command('Lacuna', function(call) require('lacuna.commands').run(call) end, {
  nargs = '*', range = true,
  complete = function(lead, line) return require('lacuna.commands').complete(lead, line) end,
})
